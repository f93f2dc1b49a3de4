import { type Connection, offline } from "./connection.ts"
import { AtriumError, type Requests } from "./protocol.ts"

interface Waiting {
  type: keyof Requests
  fields: never
  resolve: (ack: never) => void
  reject: (error: AtriumError) => void
}

/**
 * Requests that wait for a connection, go out one after the other, and go out again
 * if the connection was lost before their answer: each must have its effect only
 * once, however often it is sent.
 */
export class Outbox {
  #waiting: Waiting[] = []
  #open = false
  #sending = false
  #later: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly connection: Connection,
    /** How many may wait. */
    private readonly most: number,
  ) {}

  get empty(): boolean {
    return this.#waiting.length === 0
  }

  /** Resolves to the ack. It rejects with `queue_full` at once if too many are waiting. */
  push<T extends keyof Requests>(type: T, fields: Requests[T][0]): Promise<Requests[T][1]> {
    return new Promise((resolve, reject) => {
      if (this.connection.closed) return reject(offline())
      if (this.#waiting.length >= this.most) {
        return reject(new AtriumError("queue_full", `${this.most} are waiting already`, true))
      }
      this.#waiting.push({ type, fields: fields as never, resolve, reject })
      void this.#pump()
    })
  }

  /** Sends, as from now. */
  open(): void {
    this.#open = true
    void this.#pump()
  }

  /** Holds back what comes. */
  shut(): void {
    this.#open = false
  }

  /** Rejects all that waits. */
  clear(error: AtriumError = offline()): void {
    clearTimeout(this.#later)
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }

  async #pump(): Promise<void> {
    if (this.#sending) return
    this.#sending = true
    clearTimeout(this.#later)
    while (this.#open && this.#waiting.length > 0) {
      const next = this.#waiting[0]!
      try {
        const ack = await this.connection.request(next.type, next.fields)
        if (this.#take(next)) next.resolve(ack as never)
      } catch (error) {
        const { code, retryable, retryAfterMs } = error as AtriumError
        if (retryable) {
          // A lost connection opens it again.
          if (code !== "offline") this.#later = setTimeout(() => void this.#pump(), retryAfterMs ?? 1_000)
          break
        }
        if (this.#take(next)) next.reject(error as AtriumError)
      }
    }
    this.#sending = false
  }

  /** Takes the first, unless all have been cleared meanwhile. */
  #take(first: Waiting): boolean {
    if (this.#waiting[0] !== first) return false
    this.#waiting.shift()
    return true
  }
}
