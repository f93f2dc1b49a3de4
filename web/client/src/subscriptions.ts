import type { Connection } from "./connection.ts"
import type { AtriumError } from "./protocol.ts"

/** How many names one message may have. */
const perMessage = 1_000

/**
 * Names that are to be subscribed to: what changes at one time goes out in one
 * message, and all again after a reconnect.
 */
export class Subscriptions {
  #wanted = new Set<string>()
  #made = new Set<string>()
  #refused = new Set<string>() // until the token changes
  #scheduled = false

  constructor(
    private readonly connection: Connection,
    private readonly subscribe: (names: string[]) => Promise<unknown>,
    private readonly unsubscribe: (names: string[]) => Promise<unknown>,
  ) {
    connection.on("peer", () => this.#renew())
    connection.on("token", () => this.#renew())
    connection.on("lost", () => this.#made.clear())
  }

  add(name: string): void {
    this.#wanted.add(name)
    this.#schedule()
  }

  delete(name: string): void {
    this.#wanted.delete(name)
    this.#refused.delete(name)
    this.#schedule()
  }

  #renew(): void {
    this.#made.clear()
    this.#refused.clear()
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#send()
    })
  }

  #send(): void {
    if (this.connection.state !== "online") return
    const added = [...this.#wanted].filter((name) => !this.#made.has(name) && !this.#refused.has(name))
    const gone = [...this.#made].filter((name) => !this.#wanted.has(name))
    for (let i = 0; i < added.length; i += perMessage) void this.#add(added.slice(i, i + perMessage))
    for (let i = 0; i < gone.length; i += perMessage) {
      const some = gone.slice(i, i + perMessage)
      for (const name of some) this.#made.delete(name)
      this.unsubscribe(some).catch(() => {}) // lost with the connection
    }
  }

  async #add(names: string[]): Promise<void> {
    for (const name of names) this.#made.add(name)
    try {
      await this.subscribe(names)
    } catch (error) {
      const { code, retryable } = error as AtriumError
      if (code === "offline") return
      for (const name of names) this.#made.delete(name)
      if (retryable) {
        setTimeout(() => this.#schedule(), 1_000)
      } else if (names.length > 1) {
        // All are taken or none: halves find the one for which the others shall not suffer.
        const half = names.length >> 1
        void this.#add(names.slice(0, half))
        void this.#add(names.slice(half))
      } else this.#refused.add(names[0]!)
    }
  }
}
