import * as A from "@automerge/automerge"
import { type Content, textPath } from "../documents/content.ts"

/** A piece of text: the same now as then; written `since`; or of `then`, and deleted meanwhile. */
export interface Part {
  kind: "same" | "since" | "then"
  text: string
}

/** What a text was at some heads, and what differs from it now. Undefined while these are not here. */
export function difference(doc: A.Doc<Content>, heads: string[]): Part[] | undefined {
  if (!A.hasHeads(doc, heads)) return undefined
  const now = doc.text ?? ""
  const then = A.view(doc, heads).text ?? ""
  const parts = merged(follow(now, A.diffPath(doc, textPath, A.getHeads(doc), heads)))
  const made = parts.reduce((text, part) => (part.kind === "since" ? text : text + part.text), "")
  // A text that took the place of another one shares no character with it.
  return made === then ? parts : merged([{ kind: "since", text: now }, { kind: "then", text: then }])
}

/** The parts that patches make of a text; they come in the order of their places. */
function follow(text: string, patches: A.Patch[]): Part[] {
  const parts: Part[] = []
  let read = 0 // of the text
  let index = 0 // in what it becomes
  for (const patch of patches) {
    const at = patch.path.at(-1)
    if (patch.path.length !== textPath.length + 1 || typeof at !== "number") continue
    parts.push({ kind: "same", text: text.slice(read, read + at - index) })
    read += at - index
    index = at
    if (patch.action === "splice") {
      parts.push({ kind: "then", text: patch.value })
      index += patch.value.length
    } else if (patch.action === "del") {
      const length = patch.length ?? 1
      parts.push({ kind: "since", text: text.slice(read, read + length) })
      read += length
    }
  }
  parts.push({ kind: "same", text: text.slice(read) })
  return parts
}

/**
 * Parts of the same kind in one, and what was written again just as it was as
 * the same: a restored version is of other characters that say what they did.
 */
function merged(parts: Part[]): Part[] {
  const made: Part[] = []
  const push = (kind: Part["kind"], text: string) => {
    const last = made.at(-1)
    if (last?.kind === kind) last.text += text
    else if (text) made.push({ kind, text })
  }
  let then = ""
  let since = ""
  const change = () => {
    const [old, young] = [[...then], [...since]] // by whole characters
    const most = Math.min(old.length, young.length)
    let head = 0
    while (head < most && old[head] === young[head]) head++
    let tail = 0
    while (tail < most - head && old.at(-1 - tail) === young.at(-1 - tail)) tail++
    push("same", old.slice(0, head).join(""))
    push("then", old.slice(head, old.length - tail).join(""))
    push("since", young.slice(head, young.length - tail).join(""))
    push("same", old.slice(old.length - tail).join(""))
    then = since = ""
  }
  for (const { kind, text } of parts) {
    if (kind === "then") then += text
    else if (kind === "since") since += text
    else if (text) {
      change()
      push("same", text)
    }
  }
  change()
  return made
}
