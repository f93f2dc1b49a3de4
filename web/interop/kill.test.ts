// kill -9: what the server told a client to have, it must still have afterwards.
// Every head in a sync message from the server counts as such a promise.

import { hasHeads } from "@automerge/automerge"
import type { AutomergeUrl } from "@automerge/automerge-repo"
import { expect, onTestFinished, test } from "vitest"
import { type Client, acknowledged, converged, createDocument, dial, idOf } from "./clients.ts"
import { edit } from "./edits.ts"
import { useAtrium } from "./fixture.ts"
import { proxy } from "./proxy.ts"
import { type Random, rounds, seeded, seeds } from "./random.ts"
import { until } from "./wait.ts"

const atrium = useAtrium()

test("whatever was acknowledged before a kill -9 is there after it", { timeout: 30_000 + 10_000 * rounds(5) }, async () => {
  const line = await proxy(atrium.port)
  onTestFinished(() => line.refuse())
  const clients = ["alice", "bob", "carol", "dave"].map((name) => dial(line, name))
  const { url } = createDocument(clients[0]!)
  await Promise.all(clients.map((client) => client.find(url)))

  let promises = 0
  for (const seed of seeds(rounds(5))) {
    await seeded(seed, async (random) => {
      await acknowledged(clients, url, await converged(clients, url))
      const stopTyping = type(clients, url, random)
      await killAfter(random.int(0, 200), clients, url)
      stopTyping()

      line.refuse()
      const promised = new Set(clients.flatMap((client) => [...client.tap.heads(idOf(url))]))
      await atrium.start()
      const fresh = dial(atrium, "fresh")
      const found = await fresh.find(url)
      const missing = [...promised].filter((head) => !hasHeads(found.doc(), [head]))
      expect(missing, `of ${promised.size} acknowledged heads`).toEqual([])
      promises = promised.size

      await line.allow()
      await converged([...clients, fresh], url)
      fresh.hangUp()
    })
  }
  console.log(`${promises} acknowledged heads, none lost`)
})

/** All clients type, each at its own pace, until told to stop. */
function type(clients: Client[], url: AutomergeUrl, random: Random): () => void {
  const timers = clients.map((client) =>
    setInterval(async () => edit(client, await client.find(url), random), random.int(5, 40)),
  )
  return () => timers.forEach(clearInterval)
}

/** Kills the server after so many more sync messages: in the middle of things, however fast it is. */
async function killAfter(messages: number, clients: Client[], url: AutomergeUrl): Promise<void> {
  const count = () => clients.reduce((sum, client) => sum + client.tap.messages, 0)
  const target = count() + messages
  await until(`${messages} sync messages about ${url}`, () => count() >= target)
  await atrium.kill9()
}
