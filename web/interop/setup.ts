// A stock client that cannot apply what the server sent only says so on the
// console (automerge-repo catches it). Here that fails the test.

import { afterAll, afterEach, beforeAll, expect, vi } from "vitest"

const troubles: string[] = []
const sayings = ["error receiving message", "sync with peers threw", "Error loading sync state"]

beforeAll(() => {
  const print = console.log
  vi.spyOn(console, "log").mockImplementation((...said: unknown[]) => {
    if (!sayings.some((saying) => String(said[0]).startsWith(saying))) return print(...said)
    const { err } = (said[1] ?? {}) as { err?: unknown }
    troubles.push(`${said[0]}: ${err instanceof Error ? err.stack : JSON.stringify(said[1])}`)
  })
})

afterEach(() => {
  expect(troubles.splice(0), "what stock clients complained of").toEqual([])
})

afterAll(() => vi.restoreAllMocks())
