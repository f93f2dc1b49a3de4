// Waiting for conditions, with deadlines.

import { setTimeout as delay } from "node:timers/promises"

type Truthy<T> = Exclude<T, false | 0 | "" | null | undefined>

/** Polls until `done` returns something truthy and returns that. `what` says what was waited for. */
export async function until<T>(what: string | (() => string), done: () => T | Promise<T>, ms = 10_000): Promise<Truthy<T>> {
  const deadline = Date.now() + ms
  for (;;) {
    const got = await done()
    if (got) return got as Truthy<T>
    if (Date.now() > deadline) {
      throw new Error(`not within ${ms} ms: ${typeof what === "string" ? what : what()}`)
    }
    await delay(10)
  }
}

/** The promise's value, or an error once `ms` are over. */
export async function within<T>(what: string, promise: Promise<T>, ms = 10_000): Promise<T> {
  const timer = new AbortController()
  const late = delay(ms, undefined, { signal: timer.signal }).then(
    () => Promise.reject(new Error(`not within ${ms} ms: ${what}`)),
    () => new Promise<never>(() => {}),
  )
  try {
    return await Promise.race([promise, late])
  } finally {
    timer.abort()
  }
}
