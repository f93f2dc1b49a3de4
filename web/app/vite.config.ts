import { readFileSync } from "node:fs"
import react from "@vitejs/plugin-react"
import { defineConfig, type Plugin } from "vite"

/** Tells the service worker which files there are. */
const offline: Plugin = {
  name: "offline",
  apply: "build",
  generateBundle(_, bundle) {
    const files = ["icon.svg", ...Object.keys(bundle)].filter((name) => !name.endsWith(".html")).map((name) => `/${name}`)
    const source = readFileSync(new URL("offline.js", import.meta.url), "utf8")
    this.emitFile({ type: "asset", fileName: "offline.js", source: source.replace("files = []", `files = ${JSON.stringify(files.sort())}`) })
  },
}

export default defineConfig({
  plugins: [react(), offline],
  resolve: {
    // The entries that leave it to main.tsx to load the WebAssembly, as a file of its own.
    alias: [
      { find: /^@automerge\/automerge$/, replacement: "@automerge/automerge/slim" },
      { find: /^@automerge\/automerge-repo$/, replacement: "@automerge/automerge-repo/slim" },
    ],
  },
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    // Top-level await, and no script that the policy of web.go would refuse.
    target: "es2022",
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1_200, // kB; what is sent, packed, a test bounds
  },
  server: {
    // `npm run dev --workspace app` beside `make run`.
    proxy: {
      "/ws": { target: "ws://127.0.0.1:8080", ws: true },
      "/dev": "http://127.0.0.1:8080",
      "/api": "http://127.0.0.1:8080",
    },
  },
})
