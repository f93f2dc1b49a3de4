// Documents that go, and one that kills who reads it: everybody else goes on.

import * as A from "@automerge/automerge"
import type { AutomergeUrl } from "@automerge/automerge-repo"
import { expect, test } from "vitest"
import { acknowledged, arrives, type Client, createDocument, dial, idOf } from "./clients.ts"
import { useAtrium } from "./fixture.ts"
import { automergeType, Documents, settled } from "./http.ts"
import { hashOf, RawPeer } from "./raw.ts"
import { MemoryStorage } from "./storage.ts"
import { until } from "./wait.ts"

const atrium = useAtrium({ allow: /document quarantined/ })
const documents = new Documents(atrium)

test("a deleted document stays deleted, whoever comes back with it", async () => {
  const alice = dial(atrium, "alice")
  const old = dial(atrium, "old", { release: "2.0" })
  const storage = new MemoryStorage()
  let stale = dial(atrium, "stale", { storage })
  const handle = createDocument(alice)
  const url = handle.url
  handle.change((doc) => (doc.text = "soon to go"))
  const other = createDocument(alice)
  const everywhere = [alice, old, stale]
  await settled(documents, everywhere, url)
  await settled(documents, everywhere, other.url)
  await until("it is stored", async () => {
    await stale.repo.flush()
    return storage.documents().size > 0
  })
  stale.hangUp()

  const told = (client: Client) => client.tap.unavailable.get(idOf(url)) ?? 0
  expect([told(alice), told(old)]).toEqual([0, 0])
  expect((await documents.call("DELETE", `/${url}`)).status).toBe(204)
  await until("the live ones are told", () => told(alice) > 0 && told(old) > 0)

  for (const round of ["at once", "after a restart"]) {
    // Who has it open goes on typing.
    const before = told(alice)
    handle.change((doc) => alice.lib.splice(doc, ["text"], 0, 0, "still here, "))
    await until(`alice is told again ${round}`, () => told(alice) > before)
    // Who has it from before brings it, with something new.
    stale = dial(atrium, "stale", { storage: storage.reopen() })
    const his = await arrives(stale, url)
    expect(his.doc().text).toBe("soon to go")
    his.change((doc) => doc.list.push("new"))
    await until(`the stale one is told ${round}`, () => told(stale) > 0)
    const file = A.save(his.doc())
    for (const [method, path, body, type] of [
      ["GET", `/${url}`],
      ["GET", `/${url}/history`],
      ["POST", "", { documentId: idOf(url), content: { back: true } }],
      ["POST", `/${url}/import`, file, automergeType],
      ["PATCH", `/${url}`, { back: true }, "application/merge-patch+json"],
      ["DELETE", `/${url}`],
    ] as const) {
      const answer = await documents.call(method, path, { body, type })
      expect(answer.status, `${method} ${path} ${round}`).toBe(410)
    }
    await expect(dial(atrium, "fresh").find(url)).rejects.toThrow("unavailable")
    expect(atrium.sqlite(`SELECT count(*) FROM document_changes WHERE document_id = '${idOf(url)}'`)).toEqual(["0"])

    // The others are as they were, and go on.
    other.change((doc) => doc.list.push(round))
    expect((await settled(documents, [alice, old, stale], other.url)).list).toContain(round)
    stale.hangUp()
    if (round === "at once") await atrium.restart()
    await until("alice is back", () => alice.connected && old.connected)
  }
  const list = (await documents.do("GET", "")).json.documents as { url: AutomergeUrl }[]
  expect(list.map((document) => document.url)).toEqual([other.url])
})

/**
 * A change that ends the process in which automerge-go takes it in: its one
 * operation names an actor that it does not list. Made by collab/change/changetest.
 */
const deadly = Buffer.from(
  "856f4a83ac87bf43013d00100101010101010101010101010101010101010000000801020202150534" +
    "0142025602570570027f077f017f036b6579017f017f5676616c75657f00",
  "hex",
)

test("a document that kills who reads it is served to those who sync, and harms no other", { timeout: 120_000 }, async () => {
  const alice = dial(atrium, "alice")
  const bad = createDocument(alice)
  bad.change((doc) => (doc.text = "before"))
  await acknowledged([alice], bad.url, alice.heads(bad.url))
  const good = await documents.create({ n: 0 })
  alice.hangUp()
  await atrium.halt()
  const id = idOf(bad.url)
  atrium.sqlite(`UPDATE documents SET version = version + 1, changes = changes + 1, bytes = bytes + ${deadly.length} WHERE id = '${id}';
    INSERT INTO document_changes SELECT id, version, x'${deadly.toString("hex")}', 'mallory', updated_at FROM documents WHERE id = '${id}'`)
  await atrium.start()
  const { pid } = atrium
  expect(pid).toBeDefined()

  // As often as it takes to be left alone, and then some; others go on meanwhile.
  let done = false
  let patches = 0
  const others = async () => {
    for (; !done; patches++) {
      await documents.merge(good, { n: patches + 1 })
      expect((await documents.read(good)).content).toEqual({ n: patches + 1 })
    }
  }
  const failing = async () => {
    for (let i = 0; i < 6 || patches < 6; i++) {
      for (const [method, path, body, type] of [
        ["GET", `/${bad.url}`],
        ["PATCH", `/${bad.url}`, { a: 1 }, "application/merge-patch+json"],
        ["POST", `/${bad.url}/restore`, { heads: alice.heads(bad.url) }],
      ] as const) {
        const answer = await documents.call(method, path, { body, type })
        expect([answer.status, answer.headers.get("content-type")], `${method} ${path}`).toEqual([503, "application/problem+json"])
        expect(answer.json).toMatchObject({ status: 503, title: "Service Unavailable", detail: expect.stringContaining("not available") })
      }
    }
  }
  await Promise.all([others(), failing().finally(() => (done = true))])
  expect(atrium.pid).toBe(pid)

  const { documents: list } = (await documents.do("GET", "")).json
  expect(list.filter((document: { quarantined?: boolean }) => document.quarantined).map((document: { url: string }) => document.url)).toEqual([bad.url])

  // What needs no content is there as ever.
  const history = await documents.history(bad.url)
  expect(history.at(-1)).toMatchObject({ hash: hashOf(deadly), userId: "mallory" })
  const file = await documents.file(bad.url)
  expect(Buffer.from(file.bytes).includes(deadly)).toBe(true)

  const reader = await RawPeer.dial(atrium, "reader", id)
  await reader.has([...alice.heads(bad.url), hashOf(deadly)])
  const mine = A.change(A.clone(bad.doc()), (doc) => (doc.text = "after"))
  const writer = await RawPeer.dial(atrium, "writer", id)
  const added = A.getLastLocalChange(mine)!
  await writer.send({ heads: A.getHeads(mine), need: [], have: [], changes: [added] })
  await reader.has(A.getHeads(mine))
  const late = await RawPeer.dial(atrium, "late", id)
  await late.has([...A.getHeads(mine), hashOf(deadly), ...A.getAllChanges(bad.doc()).map((change) => A.decodeChange(change).hash)])
  expect((await documents.call("GET", `/${bad.url}`)).status).toBe(503)
  expect(atrium.pid).toBe(pid)
  for (const raw of [reader, writer, late]) raw.hangUp()
})

test("a file that kills who reads it harms no document", async () => {
  const url = await documents.create({ a: 1 })
  const { pid } = atrium
  for (let i = 0; i < 5; i++) {
    const answer = await documents.call("POST", `/${url}/import`, { body: deadly, type: automergeType })
    expect(answer.status).toBe(503)
    expect((await documents.read(url)).content).toEqual({ a: 1 })
  }
  await documents.merge(url, { b: 2 })
  expect((await documents.read(url)).content).toEqual({ a: 1, b: 2 })
  expect(atrium.pid).toBe(pid)
})
