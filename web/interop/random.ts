// Seeded randomness: what a failing run printed can be run again with SEED=….

export class Random {
  #state: number

  constructor(readonly seed: number) {
    this.#state = seed >>> 0
  }

  /** The next number in [0, 1): mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number in [from, to]. */
  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)]!
  }

  word(length: number): string {
    return Array.from({ length }, () => this.pick([..."abcdefghij klmnop é😀\n"])).join("")
  }
}

/** How many rounds to run: from the environment, so that `make stress` can ask for more. */
export function rounds(standard: number): number {
  return Number(process.env.ROUNDS ?? standard)
}

/**
 * The seeds to run: the one in SEED alone, or `count` fresh ones that follow from
 * the clock.
 */
export function seeds(count: number): number[] {
  if (process.env.SEED) return [Number(process.env.SEED)]
  const first = Date.now() % 1_000_000_000
  return Array.from({ length: count }, (_, i) => first + i)
}

/** Runs one seeded round; its failure tells how to run it again. */
export async function seeded(seed: number, round: (random: Random) => Promise<void>): Promise<void> {
  try {
    await round(new Random(seed))
  } catch (cause) {
    const told = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`SEED=${seed}: ${told}`, { cause })
  }
}
