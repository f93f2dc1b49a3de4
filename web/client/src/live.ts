import { guarded } from "./guarded.ts"

/**
 * A value that changes, for as long as somebody subscribes to it: then it is
 * asked of the server, and asked again after each reconnect. It has the form that
 * React's useSyncExternalStore takes. A new value is a new object.
 */
export abstract class Live<T> {
  #value: T
  #listeners = new Set<() => void>()
  #lingering: ReturnType<typeof setTimeout> | undefined
  #running = false

  constructor(value: T) {
    this.#value = value
  }

  /** The newest known; what it was when it was last subscribed to, if nobody does. */
  get value(): T {
    return this.#value
  }

  /** Calls back after each change, until the returned function is called. */
  readonly subscribe = (listener: () => void): (() => void) => {
    const own = guarded(listener) // another one each time: the same function may subscribe twice
    this.#listeners.add(own)
    clearTimeout(this.#lingering)
    if (!this.#running) {
      this.#running = true
      this.start()
    }
    return () => {
      if (!this.#listeners.delete(own) || this.#listeners.size > 0) return
      // Whoever turns a page, or renders again, subscribes again in a moment.
      clearTimeout(this.#lingering)
      this.#lingering = setTimeout(() => this.end(), linger)
    }
  }

  /** Whether somebody subscribes, or did a moment ago. */
  protected get running(): boolean {
    return this.#running
  }

  protected set(value: T): void {
    if (Object.is(value, this.#value)) return
    this.#value = value
    for (const listener of [...this.#listeners]) listener()
  }

  /** Stops at once. */
  protected end(): void {
    clearTimeout(this.#lingering)
    if (!this.#running) return
    this.#running = false
    this.stop()
  }

  /** Begins to keep the value up to date. */
  protected abstract start(): void
  /** Ends that. */
  protected abstract stop(): void
}

const linger = 1_000
