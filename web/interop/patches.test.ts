// Patches by HTTP while stock clients edit: what each does is kept, and a patch
// does to a document what it does to the document's JSON.

import * as A from "@automerge/automerge"
import type { DocHandle } from "@automerge/automerge-repo"
import { expect, test } from "vitest"
import { token } from "./atrium.ts"
import { acknowledged, arrives, type Client, createDocument, dial } from "./clients.ts"
import { useAtrium } from "./fixture.ts"
import { type Answer, Documents, plain, settled } from "./http.ts"
import { type Json, jsonPatch, type JsonObject, mergePatch, PatchFailed, randomJson, randomKey, randomMerge, randomOperations } from "./jsonpatch.ts"
import { proxy } from "./proxy.ts"
import { type Random, rounds, seeded, seeds } from "./random.ts"
import { until } from "./wait.ts"

const atrium = useAtrium()
const documents = new Documents(atrium)

const count = (text: string, letter: string): number => text.split(letter).length - 1

test("patches and typing go on at the same time", async () => {
  const clients = [dial(atrium, "alice"), dial(atrium, "old", { release: "2.0" })] as const
  const mine = createDocument(clients[0])
  const url = mine.url
  const hers = await arrives(clients[1], url)
  await settled(documents, [...clients], url)

  const typed = [0, 0]
  const type = setInterval(() => {
    for (const [i, handle] of [mine, hers].entries()) {
      handle.change((doc) => clients[i]!.lib.splice(doc, ["text"], doc.text.length, 0, i === 0 ? "a" : "o"))
      typed[i]!++
    }
  }, 30)
  const n = 15
  const took: number[] = []
  try {
    for (let i = 0; i < n; i++) {
      const before = await documents.read(url)
      await documents.patch(url, [{ op: "splice", path: "/text", index: 0, delete: 0, insert: "X" }])
      // Of a state that is old already, in another user's name.
      const then = { heads: before.heads.join(), message: "by carol" }
      await documents.merge(url, { text: `${before.content.text}Y`, map: { [`k${i}`]: i } }, { query: then, token: token({ sub: "carol" }) })
      const answered = performance.now()
      await until(`both see patch ${i}`, () => [mine, hers].every((handle) => handle.doc().map[`k${i}`] === i))
      took.push(performance.now() - answered)
    }
  } finally {
    clearInterval(type)
  }
  // Within a second, but for what a machine that stands still does to one or two.
  expect(took.sort((a, b) => a - b)[n - 3]).toBeLessThan(1_000)
  const { text } = await settled(documents, [...clients], url)
  expect(["X", "Y", "a", "o"].map((letter) => count(text, letter))).toEqual([n, n, ...typed])
  expect(typed[0]).toBeGreaterThan(n)

  const users = new Map([mine, hers].map((handle, i) => [A.getActorId(handle.doc()), clients[i]!.name]))
  const history = await documents.history(url)
  expect(history.map(({ position }) => position)).toEqual(history.map((_, i) => i))
  for (const { userId, actor, message } of history) expect(userId).toBe(users.get(actor) ?? (message === "by carol" ? "carol" : "api"))
  const by = (user: string) => history.filter(({ userId }) => userId === user).length
  expect([by("api"), by("carol"), by("alice"), by("old")]).toEqual([n, n, typed[0]! + 1, typed[1]])
})

/** What patches leave alone: there the live client does what it likes. */
const apart = ["live", "both", "mine 0", "mine 1", "mine 2"]

interface Live {
  live: { text: string; list: Json[]; count: A.Counter; [key: string]: unknown }
  both: { text: string; items: string[] }
  [key: string]: unknown
}

const happened: Record<string, number> = {}
const happens = (what: string): void => void (happened[what] = (happened[what] ?? 0) + 1)

test("a patch does what it does to plain JSON", { timeout: 60_000 + 5_000 * rounds(40) }, async () => {
  for (const seed of seeds(rounds(40))) await seeded(seed, round)
  console.log(`what happened: ${JSON.stringify(happened)}`)
  if (rounds(40) >= 40 && !process.env.SEED) {
    for (const what of ["offline", "a patch failed", "a patch of nothing", "a special value stayed", "marks stayed"]) expect(happened[what], what).toBeGreaterThan(0)
  }
})

async function round(random: Random): Promise<void> {
  const line = await proxy(atrium.port)
  const alice = dial(line, "alice")
  const clients = random.chance(0.3) ? [alice, dial(atrium, "old", { release: "2.0" })] : [alice]
  try {
    const handle = randomDocument(alice, random)
    await acknowledged([alice], handle.url, alice.heads(handle.url))
    await settled(documents, clients, handle.url)
    let want: JsonObject = plain(handle.doc())
    for (let n = random.int(2, 5); n > 0; n--) want = await step(random, handle, clients, want, line)
  } finally {
    clients.forEach((client) => client.hangUp())
    line.refuse()
  }
}

/** One patch, with edits of the live client at the same time, and what must come of them. */
async function step(random: Random, handle: DocHandle<Live>, clients: Client[], old: JsonObject, line: { refuse(): void; allow(): Promise<void> }) {
  const before = handle.doc()
  const isMerge = random.chance(0.5)
  const patch = isMerge ? randomMerge(random, old, apart) : randomOperations(random, old, apart)
  let want = old
  let fails = false
  try {
    want = (isMerge ? mergePatch(old, patch as JsonObject) : jsonPatch(old, patch as never)) as JsonObject
  } catch (error) {
    if (!(error instanceof PatchFailed)) throw error
    fails = true
  }
  const told = `${JSON.stringify(patch)} of ${JSON.stringify(old)}`

  const offline = random.chance(0.3)
  if (offline) {
    happens("offline")
    line.refuse()
    await until("alice is offline", () => !clients[0]!.connected)
  }
  if (offline) live(handle, random)
  const both = random.chance(0.5) ? `p${random.int(0, 1e9)}` : undefined
  const [answer] = await Promise.all([send(handle.url, isMerge, patch), both && add(handle.url, both), random.chance(0.7) && live(handle, random)])
  if (offline) await line.allow()
  if (fails) {
    happens("a patch failed")
    expect([409, 422], `${told}: ${JSON.stringify(answer.json)}`).toContain(answer.status)
  } else expect(answer.status, `${told}: ${JSON.stringify(answer.json)}`).toBe(200)
  if (JSON.stringify(want) === JSON.stringify(old)) happens("a patch of nothing")

  await until("alice is back", () => clients[0]!.connected)
  const got = await settled(documents, clients, handle.url)
  // The live client's own places are as it left them, the others as patched.
  const mine = plain(handle.doc())
  for (const key of apart) {
    if (key in mine) want = { ...want, [key]: mine[key] }
  }
  expect(got, told).toEqual(want)
  expect(got.live, told).toEqual(plain(lives.get(handle)))
  expect([...got.both.items].sort(), told).toEqual([...tokens.get(handle)!, ...(both ? [both] : [])].sort())
  for (const item of got.both.items) expect(count(got.both.text, `(${item})`), `${item} in ${got.both.text}`).toBe(1)
  if (both) tokens.get(handle)!.push(both)
  stayed(before, handle.doc())
  return got
}

function send(url: DocHandle<Live>["url"], isMerge: boolean, patch: unknown): Promise<Answer> {
  return documents.call("PATCH", `/${url}`, { body: patch, type: isMerge ? "application/merge-patch+json" : "application/json-patch+json" })
}

/** A patch of places where the live client edits, too. */
function add(url: DocHandle<Live>["url"], token: string): Promise<Answer> {
  return documents.patch(url, [
    { op: "add", path: "/both/items/0", value: token },
    { op: "splice", path: "/both/text", index: 0, delete: 0, insert: `(${token})` },
  ])
}

/** What the live client's own place holds, by what it did there. */
const lives = new WeakMap<DocHandle<Live>, Record<string, unknown>>()
/** What has been added where all add. */
const tokens = new WeakMap<DocHandle<Live>, string[]>()

/** Edits of the live client. */
function live(handle: DocHandle<Live>, random: Random): void {
  const model = lives.get(handle)! as { text: string; list: Json[]; count: number; [key: string]: unknown }
  for (let n = random.int(1, 4); n > 0; n--) {
    const item = random.word(3)
    const token = `m${random.int(0, 1e9)}`
    const at = random.int(0, model.list.length)
    const by = random.int(-3, 3)
    const key = `k${random.int(0, 3)}`
    const value = random.pick([random.int(0, 9), new Date(random.int(0, 1e12)), new Uint8Array([random.int(0, 255)])])
    handle.change((doc) => {
      A.splice(doc, ["live", "text"], 0, 0, item)
      doc.live.list.splice(at, 0, item)
      doc.live.count.increment(by)
      doc.live[key] = value
      doc[`mine ${random.int(0, 2)}`] = item
      doc.both.items.push(token)
      A.splice(doc, ["both", "text"], doc.both.text.length, 0, `(${token})`)
    })
    model.text = item + model.text
    model.list.splice(at, 0, item)
    model.count += by
    model[key] = value
    tokens.get(handle)!.push(token)
  }
}

/** A document with something of all that JavaScript can put into one. */
function randomDocument(alice: Client, random: Random): DocHandle<Live> {
  const handle = alice.repo.create<Live>({
    ...randomMap(random, 3),
    marked: `m${random.word(8)}`,
    live: { text: "", list: [], count: new A.Counter(0) },
    both: { text: "", items: [] },
  })
  lives.set(handle, { text: "", list: [], count: 0 })
  tokens.set(handle, [])
  handle.change((doc) => decorate(doc, "marked", doc.marked as string, random))
  for (let n = random.int(1, 4); n > 0; n--) {
    handle.change((doc) => (doc[randomKey(random)] = randomValue(random, 2)))
    handle.change((doc) => {
      for (const key of Object.keys(doc)) {
        if (apart.includes(key) || key === "/") continue // which mark() takes for a path
        const value = doc[key] as any
        if (typeof value?.increment === "function") value.increment(random.int(-5, 5)) // a counter
        else if (typeof value === "string" && value.length > 0) decorate(doc, key, value, random)
      }
    })
  }
  return handle
}

/** Marks a text, or puts a block into it. */
function decorate(doc: Live, key: string, text: string, random: Random): void {
  const ends = [...text].slice(0, random.int(1, [...text].length)).join("").length
  A.mark(doc, [key], { start: 0, end: ends, expand: random.pick(["before", "after", "both", "none"]) }, "bold", true)
  if (random.chance(0.3)) A.splitBlock(doc, [key], 0, { type: new A.ImmutableString("paragraph"), parents: [], attrs: {} })
}

function randomMap(random: Random, depth: number): Record<string, unknown> {
  return Object.fromEntries(Array.from({ length: random.int(1, 6) }, () => [randomKey(random), randomValue(random, depth - 1)]))
}

function randomValue(random: Random, depth: number): unknown {
  const values: (() => unknown)[] = [
    () => randomJson(random, depth, -0.1),
    () => randomJson(random, depth, -0.1),
    () => new A.Counter(random.int(-50, 50)),
    () => new Date(random.pick([0, -1, 1_700_000_000_123, -62_200_000_000_000, 253_402_300_800_000])),
    () => Uint8Array.from({ length: random.int(0, 5) }, () => random.int(0, 255)),
    () => new A.ImmutableString(random.word(4)),
    () => random.pick([new A.Int(-3), new A.Uint(3), new A.Float64(3), Infinity, NaN, -0]),
  ]
  if (depth > 0) {
    values.push(
      () => randomMap(random, depth),
      () => Array.from({ length: random.int(0, 5) }, () => randomValue(random, depth - 1)),
    )
  }
  return random.pick(values)()
}

/** Wants what a patch has not changed to be of the type it was, where maps lead to it, and texts to have their marks. */
function stayed(before: any, after: any, isDocument = true): void {
  for (const key of Object.keys(before)) {
    const [was, is] = [before[key], after[key]]
    const name = was?.constructor?.name
    if (name === "Object" && is?.constructor?.name === "Object") stayed(was, is, false)
    else if (["Date", "Uint8Array", "Counter", "ImmutableString"].includes(name) && plain(was) === plain(is)) {
      happens("a special value stayed")
      expect(is?.constructor?.name, `what was ${plain(was)}`).toBe(name)
    } else if (isDocument && typeof was === "string" && was === is && key !== "/") {
      const marks = A.marks(before, [key])
      if (marks.length > 0) happens("marks stayed")
      expect(A.marks(after, [key]), `marks of ${was}`).toEqual(marks)
    }
  }
}
