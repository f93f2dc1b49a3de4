// One server for a whole test file, and an end to every client after each test.

import { afterAll, afterEach, beforeAll } from "vitest"
import { Atrium, type AtriumOptions, tempDir } from "./atrium.ts"
import { hangUpAll } from "./clients.ts"
import { refuseAll } from "./proxy.ts"

export function useAtrium(options: AtriumOptions = {}): Atrium {
  const atrium = new Atrium(tempDir(), options)
  beforeAll(() => atrium.start())
  afterEach(hangUpAll)
  afterAll(() => {
    refuseAll()
    return atrium.stop()
  })
  return atrium
}
