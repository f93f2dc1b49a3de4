// A document whose store fails for a while: its changes are told to nobody, other
// documents do not notice, and when the store is back everything syncs by itself.

import { expect, test } from "vitest"
import { type Client, acknowledged, converged, createDocument, dial, idOf } from "./clients.ts"
import { useAtrium } from "./fixture.ts"

const atrium = useAtrium({ allow: /injected/ })

test("changes are told once they are stored, and not before", async () => {
  const clients = [dial(atrium, "alice"), dial(atrium, "bob")] as const
  const broken = await shared(clients)
  const sound = await shared(clients)

  const id = idOf(broken.url)
  atrium.sqlite(`CREATE TRIGGER fail BEFORE INSERT ON document_changes WHEN NEW.document_id = '${id}'
    BEGIN SELECT RAISE(ABORT, 'injected'); END`)
  const before = clients.map((client) => new Set(client.tap.heads(id)))
  for (let i = 0; i < 20; i++) {
    broken.handles.forEach((handle, by) => handle.change((doc) => doc.list.push(`${by}:${i}`)))
    sound.handles[0]!.change((doc) => doc.list.push(i))
    await acknowledged([clients[0]], sound.url, clients[0].heads(sound.url))
  }
  clients.forEach((client, i) => expect(client.tap.heads(id), `what ${client.name} was told`).toEqual(before[i]))
  expect(broken.handles.map((handle) => handle.doc().list.length)).toEqual([20, 20])

  atrium.sqlite("DROP TRIGGER fail")
  const heads = await converged([...clients], broken.url)
  await acknowledged([...clients], broken.url, heads)
  await converged([...clients], sound.url)
  const fresh = dial(atrium, "fresh")
  const found = await fresh.find(broken.url)
  const expected = [0, 1].flatMap((by) => Array.from({ length: 20 }, (_, i) => `${by}:${i}`))
  expect([...found.doc().list].sort()).toEqual(expected.sort())
})

/** A document that both clients have and the server has stored. */
async function shared(clients: readonly [Client, Client]) {
  const first = createDocument(clients[0])
  const handles = [first, await clients[1].find(first.url)]
  await acknowledged([...clients], first.url, await converged([...clients], first.url))
  return { url: first.url, handles }
}
