// The acceptance suite that automerge-repo ships for network adapters, with three
// stock adapters that meet on one Atrium.

import { runNetworkAdapterTests } from "@automerge/automerge-repo/helpers/tests/network-adapter-tests.js"
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket"
import { afterEach, beforeEach, vi } from "vitest"
import { token } from "./atrium.ts"
import { useAtrium } from "./fixture.ts"
import { ignoreErrors } from "./tap.ts"

vi.setConfig({ testTimeout: 3_000 })

/**
 * What three clients of one server cannot pass. The suite is written for adapters
 * whose peers meet directly; here the one peer that a client ever sees is Atrium.
 * The tests must fail, so that the day one of them passes is noticed.
 *
 * The third is sometimes counted as passing. It does so only where the second has
 * left its sockets open: five seconds later its orphan comes back under the name
 * `right` and takes the place of the new one, which then sees a disconnect.
 */
const impossible = new Set([
  // Expects the other client's peer id and metadata in `peer-candidate`; gets the server's.
  "emits a peer-candidate event with proper peer metadata when a peer connects",
  // Expects `peer-disconnected` when the other client goes; its own peer, the server, stays.
  "should emit disconnect events on disconnect",
  // Waits for the same event before it begins.
  "should not send messages after disconnect",
])

const atrium = useAtrium()
let adapters: Adapter[] = []

beforeEach(({ task }) => {
  if (impossible.has(task.name)) Object.assign(task, { fails: true }) // the runner reads it after the test
})
afterEach(() => hangUp(adapters)) // the suite itself tears down only what succeeded

runNetworkAdapterTests(async () => {
  const mine = [dial("alice"), dial("bob"), dial("charlie")] as const
  adapters = [...mine]
  // Its own three only: a test that ran out of time goes on in the background.
  return { adapters: [...mine], teardown: () => hangUp(mine) }
}, "three clients of one Atrium")

/** The stock adapter; in Node, hanging up before the line is open must not end the process. */
class Adapter extends WebSocketClientAdapter {
  override disconnect(): void {
    ignoreErrors(this.socket)
    super.disconnect()
  }
}

function dial(sub: string): Adapter {
  return new Adapter(`${atrium.url}?token=${token({ sub })}`, 300)
}

function hangUp(adapters: readonly Adapter[]): void {
  for (const adapter of adapters) if (adapter.socket) adapter.disconnect()
}
