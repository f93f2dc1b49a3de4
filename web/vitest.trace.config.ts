import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["interop/trace.test.ts"],
    setupFiles: ["interop/setup.ts"],
    testTimeout: 600_000,
    hookTimeout: 60_000,
  },
})
