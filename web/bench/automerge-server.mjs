// The stock sync server of automerge-repo, as automerge-repo-sync-server sets it
// up, with the packages of package.json: what `atrium bench docs --beside` measures
// Atrium against. It listens on 127.0.0.1:$PORT and keeps documents in a directory
// that it removes at the end.

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Repo } from "@automerge/automerge-repo"
import { WebSocketServerAdapter } from "@automerge/automerge-repo-network-websocket"
import { NodeFSStorageAdapter } from "@automerge/automerge-repo-storage-nodefs"
import { WebSocketServer } from "ws"

const dir = mkdtempSync(join(tmpdir(), "automerge-server-"))
process.on("exit", () => rmSync(dir, { recursive: true, force: true }))
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0))

const sockets = new WebSocketServer({ host: "127.0.0.1", port: Number(process.env.PORT) })
new Repo({
  network: [new WebSocketServerAdapter(sockets)],
  storage: new NodeFSStorageAdapter(dir),
  peerId: "storage-server-bench",
  sharePolicy: async () => false, // it answers, and offers nothing by itself
})
