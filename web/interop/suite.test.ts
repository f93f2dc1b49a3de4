// The acceptance suite that automerge-repo ships for network adapters, with three
// stock adapters that meet on one Atrium.

import { runNetworkAdapterTests } from "@automerge/automerge-repo/helpers/tests/network-adapter-tests.js"
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket"
import { afterEach, beforeEach, vi } from "vitest"
import { token } from "./atrium.ts"
import { useAtrium } from "./fixture.ts"

vi.setConfig({ testTimeout: 4_000 })

const impossible = new Set<string>([])

const atrium = useAtrium()
const open = new Set<WebSocketClientAdapter>()

beforeEach(({ task }) => {
  if (impossible.has(task.name)) Object.assign(task, { fails: true }) // the runner reads it after the test
})
afterEach(hangUp) // the suite itself tears down only after a success

runNetworkAdapterTests(async () => {
  const adapters = [dial("alice"), dial("bob"), dial("charlie")] as const
  return { adapters: [...adapters], teardown: hangUp }
}, "three clients of one Atrium")

function dial(sub: string): WebSocketClientAdapter {
  const adapter = new WebSocketClientAdapter(`${atrium.url}?token=${token({ sub })}`, 300)
  open.add(adapter)
  return adapter
}

function hangUp(): void {
  for (const adapter of open) if (adapter.socket) adapter.disconnect()
  open.clear()
}
