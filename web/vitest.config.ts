import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["interop/*.test.ts", "client/test/*.test.{ts,tsx}"],
    // Needs a recorded trace; `npm run trace` runs it alone.
    exclude: ["interop/trace.test.ts"],
    setupFiles: ["interop/setup.ts"],
    // Each file starts servers of its own, and mostly waits.
    maxWorkers: 2,
    pool: "forks",
    environmentOptions: { happyDOM: { settings: { fetch: { disableSameOriginPolicy: true } } } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
