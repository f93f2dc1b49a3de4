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
  client.lib.splice(doc, ["text"], random.int(0, doc.text.length), 0, random.word(random.int(1, 8)))
}

function deleteText(doc: Shape, client: Client, random: Random): void {
  const from = random.int(0, doc.text.length)
  client.lib.splice(doc, ["text"], from, Math.min(random.int(1, 4), doc.text.length - from))
}

function markText(doc: Shape, client: Client, random: Random): void {
  if (doc.text.length === 0) return
  const start = random.int(0, doc.text.length - 1)
  const range = { start, end: random.int(start + 1, doc.text.length), expand: random.pick(["before", "after", "both", "none"] as const) }
  const name = random.pick(["bold", "italic", "link"])
  if (random.chance(0.7)) client.lib.mark(doc, ["text"], range, name, name === "link" ? random.word(5) : true)
  else client.lib.unmark(doc, ["text"], range, name)
}
