/**
 * When requests may go out: `burst` at once, then one each `every` milliseconds.
 * Servers close a connection for good that they have to refuse too often.
 */
export class Pace {
  #free = 0 // when the last one that has been let through is forgotten, as on performance.now()

  constructor(
    private readonly burst: number,
    private readonly every: number,
  ) {}

  /** In how many milliseconds the next one may go. It must go, then. */
  next(now = performance.now()): number {
    this.#free = Math.max(this.#free, now) + this.every
    return Math.max(this.#free - this.burst * this.every - now, 0)
  }
}
