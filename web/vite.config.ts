import { defineConfig } from "vitest/config"

export default defineConfig({
  root: "app",
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    // Top-level await, and no script that the policy of web.go would refuse.
    target: "es2022",
    modulePreload: { polyfill: false },
  },
  server: {
    // `npx vite` beside `atrium serve --dev`.
    proxy: {
      "/ws": { target: "ws://127.0.0.1:8080", ws: true },
      "/dev": "http://127.0.0.1:8080",
    },
  },
})
