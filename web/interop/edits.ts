// Random edits, of every kind that stock clients make.

import type { DocHandle } from "@automerge/automerge-repo"
import type { Client, Shape } from "./clients.ts"
import type { Random } from "./random.ts"

type Edit = (doc: Shape, client: Client, random: Random) => void

const edits: Edit[] = [
  insertText,
  insertText,
  deleteText,
  (doc, client, random) => client.lib.updateText(doc, ["text"], doc.text + random.word(4)),
  markText,
  (doc, _, random) => (doc.map[`k${random.int(0, 8)}`] = random.pick([random.word(5), random.int(-9, 2 ** 40), true, false])),
  (doc, _, random) => delete doc.map[`k${random.int(0, 8)}`],
  (doc, _, random) => doc.list.splice(random.int(0, doc.list.length), 0, random.int(0, 99), random.word(3)),
  (doc, _, random) => doc.list.length > 0 && doc.list.splice(random.int(0, doc.list.length - 1), 1),
  (doc, _, random) => doc.count.increment(random.int(1, 5)),
]

/** One change of one to three random edits. */
export function edit(client: Client, handle: DocHandle<Shape>, random: Random): void {
  handle.change((doc) => {
    for (let n = random.int(1, 3); n > 0; n--) random.pick(edits)(doc, client, random)
  })
}

function insertText(doc: Shape, client: Client, random: Random): void {
  client.lib.splice(doc, ["text"], position(doc.text, random, 0), 0, random.word(random.int(1, 8)))
}

function deleteText(doc: Shape, client: Client, random: Random): void {
  const from = position(doc.text, random, 0)
  const to = position(doc.text.slice(0, from + 4), random, from)
  client.lib.splice(doc, ["text"], from, to - from)
}

function markText(doc: Shape, client: Client, random: Random): void {
  const start = position(doc.text, random, 0)
  const end = position(doc.text, random, start)
  if (start === end) return
  const range = { start, end, expand: random.pick(["before", "after", "both", "none"] as const) }
  const name = random.pick(["bold", "italic", "link"])
  if (random.chance(0.7)) client.lib.mark(doc, ["text"], range, name, name === "link" ? random.word(5) : true)
  else client.lib.unmark(doc, ["text"], range, name)
}

/**
 * A random position between two characters, at or after `from`. Never within a
 * surrogate pair: Automerge 2.2 makes marks of such that 3.5 takes in, saves, and
 * cannot load again.
 */
function position(text: string, random: Random, from: number): number {
  const at = random.int(from, text.length)
  const unit = text.charCodeAt(at)
  return unit >= 0xdc00 && unit <= 0xdfff ? at + 1 : at
}
