// The app's history: versions out of a log, and what differs between one and now.

import * as A from "@automerge/automerge"
import { expect, test } from "vitest"
import { difference } from "../app/src/history/difference.ts"
import { type Change, versions } from "../app/src/history/versions.ts"
import { seeded, seeds } from "./random.ts"

const authors = ["alice", "bob", "carol"]

test.each(seeds(20))("each version is the document as its log had it by then (SEED=%i)", (seed) =>
  seeded(seed, async (random) => {
    const root = A.from({ title: "", text: "" }, "a0")
    const docs = authors.map((_, i) => A.clone(root, `b${i}`))
    for (let i = 0; i < 60; i++) {
      const at = random.int(0, docs.length - 1)
      if (random.chance(0.3)) {
        docs[at] = A.merge(docs[at]!, docs[(at + 1) % docs.length]!)
        continue
      }
      docs[at] = A.change(docs[at]!, (doc) => {
        const ends = [...doc.text].reduce((ends, char) => [...ends, ends.at(-1)! + char.length], [0])
        const from = random.int(0, ends.length - 1)
        const to = random.int(from, Math.min(from + 3, ends.length - 1))
        A.splice(doc, ["text"], ends[from]!, ends[to]! - ends[from]!, random.word(random.int(0, 4)))
      })
    }
    const now = docs.reduce((all, doc) => A.merge(all, doc))
    const chunks = A.getAllChanges(now)
    const log = chunks.map((chunk, position): Change => {
      const { actor, deps, hash } = A.decodeChange(chunk)
      const userId = authors[Number(actor.slice(1))]!
      return { position, hash, deps, userId, storedAt: new Date(position * 60_000).toISOString() }
    })

    // Heads from before the newest changes will do, too.
    const [earlier] = A.applyChanges(A.init(), chunks.slice(0, -random.int(1, 5)))
    const top = A.getHeads(random.chance(0.5) ? now : earlier)
    const made = versions(log.toReversed(), top)
    expect(made.reduce((sum, { changes }) => sum + changes, 0)).toBe(log.length)
    for (const version of made) {
      const [then] = A.applyChanges(A.init<{ text: string }>(), chunks.slice(0, version.position + 1))
      expect(A.view(now, version.heads).text).toBe(then.text)

      const parts = difference(now, version.heads)!
      const textWithout = (kind: string) => parts.filter((part) => part.kind !== kind).map(({ text }) => text).join("")
      expect(textWithout("since")).toBe(then.text)
      expect(textWithout("then")).toBe(now.text)
    }
  }),
)

test("a pause, another author and a message begin versions; who write at once share one", () => {
  let position = 0
  const change = (minute: number, userId: string, message?: string): Change => {
    const deps = position > 0 ? [`h${position - 1}`] : []
    const storedAt = new Date(minute * 60_000).toISOString()
    return { position, hash: `h${position++}`, deps, userId, storedAt, message }
  }
  const log = [
    change(0, "alice"), change(4, "alice"), change(9.5, "alice"), change(9.6, "bob"), change(12, "bob"), change(13, "bob", "restored"),
    change(14, "bob"), change(14.1, "alice"), change(14.2, "carol"), change(14.5, "bob"), change(14.6, "alice"), change(16, "carol"),
  ]
  const made = versions(log.toReversed(), ["h11"])
  expect(made.map(({ heads, userIds, changes }) => [...heads, ...userIds, changes])).toEqual([
    ["h11", "carol", 1], ["h10", "alice", "bob", "carol", 5], ["h5", "bob", 1], ["h4", "bob", 2], ["h2", "alice", 1], ["h1", "alice", 2],
  ])
})

test("text that was written again as it was is no difference, and text of another object is all different", () => {
  let doc = A.from({ text: "one two" })
  const heads = A.getHeads(doc)
  doc = A.change(doc, (content) => A.splice(content, ["text"], 4, 3, "six"))
  doc = A.change(doc, (content) => A.splice(content, ["text"], 4, 3, "two"))
  expect(difference(doc, heads)).toEqual([{ kind: "same", text: "one two" }])
  doc = A.change(doc, (content) => void (content.text = "red"))
  expect(difference(doc, heads)).toEqual([{ kind: "then", text: "one two" }, { kind: "since", text: "red" }])
})
