// Stock automerge-repo clients and nothing else: what an app gets that only
// points its WebSocketClientAdapter at Atrium.

import { marks } from "@automerge/automerge"
import { type AutomergeUrl, generateAutomergeUrl } from "@automerge/automerge-repo"
import { expect, test } from "vitest"
import { acknowledged, type Client, content, converged, createDocument, dial, idOf, type Shape, silent } from "./clients.ts"
import { edit } from "./edits.ts"
import { useAtrium } from "./fixture.ts"
import { proxy } from "./proxy.ts"
import { seeded, seeds } from "./random.ts"
import { until } from "./wait.ts"

const atrium = useAtrium()

test("three clients edit text, maps, lists, counters and marks at once", async () => {
  const [seed] = seeds(1)
  await seeded(seed!, async (random) => {
    const clients = ["alice", "bob", "carol"].map((name) => dial(atrium, name))
    const first = createDocument(clients[0]!)
    const handles = await Promise.all(clients.map((client) => client.find(first.url)))
    for (let step = 0; step < 40; step++) {
      clients.forEach((client, i) => edit(client, handles[i]!, random))
      handles.forEach((handle) => handle.change((doc) => doc.count.increment(1)))
      if (step % 8 === 7) await converged(clients, first.url)
    }
    const heads = await converged(clients, first.url)
    await acknowledged(clients, first.url, heads)
    for (const handle of handles.slice(1)) {
      expect(content(handle)).toEqual(content(handles[0]!))
      expect(marks(handle.doc(), ["text"])).toEqual(marks(handles[0]!.doc(), ["text"]))
    }
    expect(handles[0]!.doc().count.value).toBeGreaterThanOrEqual(3 * 40)
    await silent(clients)
  })
})

test("a late joiner gets everything", async () => {
  const alice = dial(atrium, "alice")
  const handle = createDocument(alice)
  for (let i = 0; i < 100; i++) handle.change((doc) => doc.list.push(i))
  await acknowledged([alice], handle.url, alice.heads(handle.url))
  alice.hangUp()

  const late = dial(atrium, "late")
  expect((await late.find(handle.url)).doc().list).toHaveLength(100)
  expect(late.heads(handle.url)).toEqual(alice.heads(handle.url))
})

test("edits made offline are merged after the reconnect", async () => {
  const line = await proxy(atrium.port)
  const alice = dial(atrium, "alice")
  const bob = dial(line, "bob")
  const mine = createDocument(alice)
  const his = await bob.find(mine.url)

  line.refuse()
  await until("bob is offline", () => !bob.connected)
  his.change((doc) => bob.lib.splice(doc, ["text"], 0, 0, "offline "))
  mine.change((doc) => alice.lib.splice(doc, ["text"], 0, 0, "online "))
  await acknowledged([alice], mine.url, alice.heads(mine.url))
  expect(his.doc().text).toBe("offline ")

  await line.allow()
  await converged([alice, bob], mine.url)
  expect([..."online offline "].sort()).toEqual([...mine.doc().text].sort())
  line.refuse()
})

test("two repos of one user are two sessions", async () => {
  const tabs = [dial(atrium, "alice"), dial(atrium, "alice")]
  const first = createDocument(tabs[0]!)
  const second = await tabs[1]!.find(first.url)
  second.change((doc) => doc.list.push("second"))
  first.change((doc) => doc.list.push("first"))
  await converged(tabs, first.url)
  expect([...first.doc().list].sort()).toEqual(["first", "second"])
})

test("an unknown document is unavailable, and found once somebody brings it", async () => {
  const bob = dial(atrium, "bob")
  await expect(bob.find(generateAutomergeUrl())).rejects.toThrow("unavailable")

  const line = await proxy(atrium.port)
  line.refuse()
  const alice = dial(line, "alice")
  const handle = createDocument(alice)
  await expect(bob.find(handle.url)).rejects.toThrow("unavailable")

  await line.allow()
  const found = await bob.repo.find<Shape>(handle.url, { allowableStates: ["ready", "unavailable"] })
  await until("bob gets it after all", () => found.isReady())
  await converged([alice, bob], handle.url)
  line.refuse()
})

test("a server restart is survived, with the edits made meanwhile", async () => {
  const clients = [dial(atrium, "alice"), dial(atrium, "bob")]
  const mine = createDocument(clients[0]!)
  const his = await clients[1]!.find(mine.url)
  mine.change((doc) => (doc.map.before = 1))
  await converged(clients, mine.url)

  await atrium.halt()
  await until("both have noticed", () => clients.every((client) => !client.connected))
  mine.change((doc) => (doc.map.alice = 1))
  his.change((doc) => (doc.map.bob = 1))
  await atrium.start()

  const heads = await converged(clients, mine.url)
  await acknowledged(clients, mine.url, heads)
  const late = dial(atrium, "late")
  expect((await late.find(mine.url)).doc().map).toEqual({ before: 1, alice: 1, bob: 1 })
})

test("a text of 4,000 changes opens at once", async () => {
  const alice = dial(atrium, "alice")
  const handle = createDocument(alice)
  for (let i = 0; i < 4_000; i++) {
    handle.change((doc) => alice.lib.splice(doc, ["text"], doc.text.length, 0, `${i % 10}`))
  }
  await acknowledged([alice], handle.url, alice.heads(handle.url), 30_000)

  const late = dial(atrium, "late")
  const found = await late.find(handle.url)
  await converged([alice, late], handle.url)
  expect(found.doc().text).toBe("0123456789".repeat(400))
  await silent([alice, late])
})

test("200 documents at once", async () => {
  const alice = dial(atrium, "alice")
  const bob = dial(atrium, "bob")
  const urls = Array.from({ length: 200 }, (_, i) => alice.repo.create({ number: i }).url)
  const found = await Promise.all(urls.map((url) => findPatiently(bob, url)))
  expect(found.map((handle) => handle.doc().number)).toEqual(urls.map((_, i) => i))
  found.forEach((handle) => handle.change((doc) => doc.number++))
  await Promise.all(urls.map((url) => converged([alice, bob], url)))
  await silent([alice, bob])
})

/** Finds a document that its maker may not have sent yet. */
async function findPatiently(client: Client, url: AutomergeUrl) {
  const handle = await client.repo.find<{ number: number }>(url, { allowableStates: ["ready", "unavailable"] })
  await until(`${idOf(url)} arrives`, () => handle.isReady(), 20_000)
  return handle
}
