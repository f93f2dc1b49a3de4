// Documents by HTTP and stock clients: each way to a document leads to the same.

import * as A from "@automerge/automerge"
import { type AutomergeUrl, type DocHandle, generateAutomergeUrl } from "@automerge/automerge-repo"
import { expect, test } from "vitest"
import { token } from "./atrium.ts"
import { acknowledged, arrives, createDocument, dial, idOf, type Shape } from "./clients.ts"
import { edit } from "./edits.ts"
import { useAtrium } from "./fixture.ts"
import { Documents, settled } from "./http.ts"
import { RawPeer } from "./raw.ts"
import { Random } from "./random.ts"
import { until } from "./wait.ts"

const atrium = useAtrium()
const documents = new Documents(atrium)

/** With something of every kind that JSON does not have. */
interface Typed {
  title: string
  when: Date
  bytes: Uint8Array
  count: A.Counter
  fixed: A.ImmutableString
  list: unknown[]
}

function typed(): A.Doc<Typed> {
  const made = A.from<Record<string, unknown>>({
    title: "hello 😀 world",
    when: new Date("2024-02-29T12:34:56.789Z"),
    bytes: new Uint8Array([0, 1, 2, 254, 255]),
    count: new A.Counter(40),
    fixed: new A.ImmutableString("not a text"),
    list: [new Date(0), new Uint8Array(0), new A.Counter(-3), 1.5, null, { deep: ["é"] }],
  }) as unknown as A.Doc<Typed>
  return A.change(made, (doc) => {
    A.mark(doc, ["title"], { start: 0, end: 5, expand: "both" }, "bold", true)
    doc.count.increment(2)
  })
}

/** Wants what typed() has made, with its types. */
function expectTyped(doc: A.Doc<Typed>): void {
  expect(doc.title).toBe("hello 😀 world")
  expect(doc.when).toEqual(new Date("2024-02-29T12:34:56.789Z"))
  expect(doc.bytes).toEqual(new Uint8Array([0, 1, 2, 254, 255]))
  expect(A.isCounter(doc.count) && doc.count.value).toBe(42)
  expect(A.isImmutableString(doc.fixed) && doc.fixed.val).toBe("not a text")
  const [date, bytes, counter, ...rest] = doc.list
  expect(date).toEqual(new Date(0))
  expect(bytes).toEqual(new Uint8Array(0))
  expect(A.isCounter(counter) && counter.value).toBe(-3)
  expect(rest).toEqual([1.5, null, { deep: ["é"] }])
}

/** The types of the chunks of a log without a snapshot, or behind one. */
const both = (types: number[]) => ({ "2.5": types, "2.0": types })
const changes = (n: number) => Array.from({ length: n }, () => 1)

test("a document made by POST has texts, which clients of both releases edit", async () => {
  const url = await documents.create({ title: "hello 😀", n: 7, f: 1.5, yes: true, nothing: null, list: ["one", { deep: "two" }], empty: {} })
  expect(await documents.agree(url)).toEqual(both([1]))

  type Made = { title: string; list: [string, { deep: string }]; n: number }
  const clients = [dial(atrium, "alice"), dial(atrium, "old", { release: "2.0" })] as const
  const [mine, hers] = await Promise.all(clients.map((client) => arrives<Made>(client, url)))
  expect(typeof mine!.doc().title).toBe("string")
  expect(typeof mine!.doc().list[0]).toBe("string")
  mine!.change((doc) => {
    A.splice(doc, ["title"], 5, 1, ", ")
    A.updateText(doc, ["list", 1, "deep"], "two and a half")
  })
  hers!.change((doc) => {
    clients[1].lib.splice(doc, ["title"], 8, 0, "!")
    clients[1].lib.splice(doc, ["list", 0], 0, 0, "at ")
  })
  const content = await settled(documents, [...clients], url)
  // Merged letter by letter: what is no text would be one or the other.
  expect(content).toMatchObject({ title: "hello, 😀!", list: ["at one", { deep: "two and a half" }], n: 7 })
  expect(A.isImmutableString(mine!.doc().title)).toBe(false)
})

test("an empty document made by POST is there for clients", async () => {
  const url = await documents.create({})
  await documents.agree(url)
  const alice = dial(atrium, "alice")
  const handle = await arrives<{ a?: number }>(alice, url)
  handle.change((doc) => (doc.a = 1))
  expect(await settled(documents, [alice], url)).toEqual({ a: 1 })
})

test("changes, a snapshot, and a snapshot with a tail load as the same", { timeout: 120_000 }, async () => {
  const alice = dial(atrium, "alice")
  const old = dial(atrium, "old", { release: "2.0" })
  const handle = createDocument(alice)
  const random = new Random(7)
  for (let i = 0; i < 20; i++) edit(alice, handle, random)
  const hers = await arrives(old, handle.url)
  for (let i = 0; i < 20; i++) edit(old, hers, random)
  await settled(documents, [alice, old], handle.url)
  const n = (await documents.history(handle.url)).length
  expect(await documents.agree(handle.url)).toEqual(both(changes(n)))

  handle.change((doc) => (doc.text = "lorem 😀 ipsum ".repeat(4_500)))
  await settled(documents, [alice, old], handle.url)
  await documents.snapshotted(handle.url)
  expect(await documents.agree(handle.url)).toEqual(both([0]))

  edit(alice, handle, random)
  edit(old, hers, random)
  await settled(documents, [alice, old], handle.url)
  expect(await documents.agree(handle.url)).toEqual(both([0, 1, 1]))

  // Those who were sent a snapshot go on as everybody.
  const late = dial(atrium, "late")
  const found = await arrives(late, handle.url)
  found.change((doc) => late.lib.splice(doc, ["text"], 0, 0, "late "))
  edit(old, hers, random)
  await settled(documents, [alice, old, late], handle.url)

  await atrium.restart()
  expect(await documents.agree(handle.url)).toEqual(both([0, ...changes(4)]))
  await settled(documents, [alice, old, late], handle.url)
})

test("a sealed log loads as the same, also by packs alone after a restart", { timeout: 180_000 }, async () => {
  const alice = dial(atrium, "alice")
  const handle = createDocument(alice)
  const url = handle.url
  await acknowledged([alice], url, alice.heads(url))
  const rows = () => Number(atrium.sqlite(`SELECT count(*) FROM document_changes WHERE document_id = '${idOf(url)}'`)[0])
  const packs = () => Number(atrium.sqlite(`SELECT count(*) FROM document_packs WHERE document_id = '${idOf(url)}'`)[0])

  // Many versions, and then some while it is sealed: of users who type and of backends that patch.
  const typists = ["bob", "carol", "old"].map((name) => dial(atrium, name, { release: name === "old" ? "2.0" : "2.5" }))
  const handles = await Promise.all(typists.map((client) => arrives(client, url)))
  const authors = new Map(handles.map((handle, i) => [A.getActorId(handle.doc()), typists[i]!.name]))
  authors.set(A.getActorId(handle.doc()), "alice")
  await Promise.all(["dave", "erin", "frank", "grace"].map((name) => write(name, url, handle.doc(), 125, authors)))
  expect(rows()).toBeGreaterThanOrEqual(500)
  const type = setInterval(() => handles.forEach((handle, i) => handle.change((doc) => typists[i]!.lib.splice(doc, ["text"], 0, 0, "a"))), 150)
  const patched = ["api", "heidi"].map(async (name) => {
    const as = { query: { message: name }, ...(name !== "api" && { token: token({ sub: name }) }) }
    for (let i = 0; i < 5 || packs() === 0; i++) await documents.patch(url, [{ op: "add", path: "/list/-", value: i }], as)
  })
  await Promise.all(patched).finally(() => clearInterval(type))
  const before = await settled(documents, [alice, ...typists], url)
  expect(rows()).toBeLessThan(512)
  await wantHistory(url, handle, authors)
  await documents.agree(url)
  for (const client of typists.slice(1)) client.hangUp()

  // So much at once that all of it is sealed, whatever the number of versions.
  for (let i = 0; i < 5; i++) {
    const noise = crypto.getRandomValues(new Uint8Array(60_000))
    const bytes = Uint8Array.from({ length: 1_200_000 }, (_, i) => noise[(i * 7919) % 60_000]! ^ (i >> 12))
    handle.change((doc) => Object.assign(doc, { bytes }))
    await acknowledged([alice], url, alice.heads(url))
    await until("all is sealed", () => rows() === 0)
  }
  expect(packs()).toBeLessThan(6) // some were joined
  const snapshots = () => atrium.sqlite(`SELECT changes FROM document_snapshots WHERE document_id = '${idOf(url)}'`)
  await until("there is a snapshot", () => snapshots().length > 0)
  for (const which of ["kept", "deleted"]) {
    await atrium.halt()
    expect(rows()).toBe(0)
    if (which === "deleted") atrium.sqlite("DELETE FROM document_snapshots")
    await atrium.start()
    const sent = await documents.agree(url)
    if (which === "kept") expect(sent["2.5"]![0]).toBe(0)
    await wantHistory(url, handle, authors)
    await settled(documents, [alice, typists[0]!], url)
    expect((await documents.read(url)).content.text).toBe(before.text)
  }
  handles[0]!.change((doc) => doc.list.push("after all"))
  await settled(documents, [alice, typists[0]!], url)
  await documents.agree(url)
})

/** Adds changes one after the other, each once the one before is stored. */
async function write(name: string, url: AutomergeUrl, doc: A.Doc<Shape>, n: number, authors: Map<string, string>): Promise<void> {
  let mine = A.clone(doc)
  authors.set(A.getActorId(mine), name)
  const raw = await RawPeer.dial(atrium, name, idOf(url))
  for (let i = 0; i < n; i++) {
    mine = A.change(mine, (doc) => void doc.list.push(`${name} ${i}`))
    await raw.send({ heads: A.getHeads(mine), need: [], have: [], changes: [A.getLastLocalChange(mine)!] })
    await raw.isTold(A.getHeads(mine)[0]!)
  }
  raw.hangUp()
}

/** Wants the history to be the changes that a client has, each with its author, whom patches name in their messages. */
async function wantHistory(url: AutomergeUrl, handle: DocHandle<Shape>, authors: Map<string, string>): Promise<void> {
  const told = (await documents.history(url)).map(({ hash, actor, deps, userId }) => [hash, { actor, deps: deps.sort(), userId }] as const)
  const made = A.getAllChanges(handle.doc()).map((chunk) => {
    const { hash, actor, deps, message } = A.decodeChange(chunk)
    return [hash, { actor, deps: deps.sort(), userId: message ?? authors.get(actor) }] as const
  })
  expect(told).toHaveLength(made.length)
  expect(Object.fromEntries(told)).toEqual(Object.fromEntries(made))
}

test("a file that JavaScript has saved is imported as it is", async () => {
  const doc = typed()
  const url = generateAutomergeUrl()
  const imported = await documents.import(url, A.save(doc))
  expect(imported.json.heads).toEqual(A.getHeads(doc))
  await documents.agree(url)
  const alice = dial(atrium, "alice")
  const found = await arrives<Typed>(alice, url)
  expect(alice.heads(url)).toEqual(A.getHeads(doc).sort())
  expectTyped(found.doc())
  const bold = [{ name: "bold", value: true, start: 0, end: 5 }]
  expect(A.marks(found.doc(), ["title"])).toEqual(bold)

  // Into one that has gone its own way since, and again, which changes nothing.
  found.change((doc) => doc.count.increment(1))
  await settled(documents, [alice], url)
  let branch = A.change(A.clone(doc), (doc) => A.splice(doc, ["title"], 0, 5, "bye"))
  for (let i = 0; i < 30; i++) branch = A.change(branch, (doc) => void doc.list.push(i))
  for (let i = 0; i < 2; i++) await documents.import(url, A.save(branch))
  const merged = await settled(documents, [alice], url)
  expect(merged).toMatchObject({ title: "bye 😀 world", count: 43 })
  expect(merged.list).toHaveLength(6 + 30)
  await documents.agree(url)
})

test("what is restored has the types it had", async () => {
  const url = generateAutomergeUrl()
  const doc = typed()
  await documents.import(url, A.save(doc))
  const alice = dial(atrium, "alice")
  const handle = await arrives<Typed>(alice, url)
  const then = await documents.read(url)

  await documents.merge(url, { when: null, bytes: "no bytes", count: "none", fixed: "a text", list: [1, 2], title: "other" })
  expect(await settled(documents, [alice], url)).toMatchObject({ bytes: "no bytes", count: "none", list: [1, 2] })
  expect(typeof handle.doc().fixed).toBe("string")
  expect(await documents.read(url, then.heads)).toEqual(then)

  const restored = await documents.restore(url, then.heads)
  expect(restored.json.heads).not.toEqual(then.heads)
  expect(await settled(documents, [alice], url)).toEqual(then.content)
  expectTyped(handle.doc())
  await documents.agree(url)
  const [newest] = (await documents.history(url)).slice(-1)
  expect(newest).toMatchObject({ hash: restored.json.heads[0], userId: "api", message: "restored" })

  // They are what they were also for those who go on with them.
  handle.change((doc) => {
    doc.count.increment(8)
    A.splice(doc, ["title"], 0, 5, "bye")
  })
  expect(await settled(documents, [alice], url)).toMatchObject({ count: 50, title: "bye 😀 world" })
})
