// Carets as others are told of them: by the characters of the document, not by counting them.

import * as A from "@automerge/automerge"
import type { SelectionRange } from "@codemirror/state"
import { type Content, textPath } from "../documents/content.ts"

/** A selection: each end by the character before it, so that it stays there when somebody writes at the same spot. */
export interface Place {
  anchor: A.Cursor
  head: A.Cursor
}

/** Automerge's cursor of a text's beginning. */
const start: A.Cursor = "s"

export function placeOf(doc: A.Doc<Content>, { anchor, head }: SelectionRange): Place {
  const cursor = (index: number) => {
    const before = doc.text!.slice(Math.max(index - 2, 0), index)
    return index === 0 ? start : A.getCursor(doc, textPath, index - lastLength(before), "before")
  }
  return { anchor: cursor(anchor), head: cursor(head) }
}

/** Where a place is now; undefined where that is not known here yet, or makes no sense. */
export function findPlace(doc: A.Doc<Content>, place: unknown): { anchor: number; head: number } | undefined {
  const { anchor, head } = (place ?? {}) as Partial<Place>
  if (typeof anchor !== "string" || typeof head !== "string") return undefined
  const index = (cursor: A.Cursor) => {
    if (cursor === start) return 0
    const at = A.getCursorPosition(doc, textPath, cursor)
    return Math.min(at + firstLength(doc.text!.slice(at, at + 2)), doc.text!.length)
  }
  try {
    return { anchor: index(anchor), head: index(head) }
  } catch {
    return undefined
  }
}

const firstLength = (text: string): number => ((text.codePointAt(0) ?? 0) > 0xffff ? 2 : 1)
const lastLength = (text: string): number => (text.length === 2 && text.codePointAt(0)! > 0xffff ? 2 : 1)
