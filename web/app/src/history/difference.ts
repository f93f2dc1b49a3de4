import * as A from "@automerge/automerge"
import type { Content } from "../documents/handle.ts"
import { path } from "../editor/sync.ts"

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
  const parts = merged(follow(now, A.diffPath(doc, path, A.getHeads(doc), heads)))
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
    if (patch.path.length !== path.length + 1 || typeof at !== "number") continue
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

function merged(parts: Part[]): Part[] {
  const made: Part[] = []
  for (const part of parts) {
    const last = made.at(-1)
    if (last?.kind === part.kind) last.text += part.text
    else if (part.text) made.push({ ...part })
  }
  return made
}
