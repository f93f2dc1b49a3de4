// How the editor looks, in the colors of style.css.

import { HighlightStyle, syntaxHighlighting } from "@codemirror/language"
import type { Extension } from "@codemirror/state"
import { EditorView } from "@codemirror/view"
import { tags } from "@lezer/highlight"

const view = EditorView.theme({
  "&": { height: "100%", fontSize: "1rem", color: "var(--ink)", backgroundColor: "transparent" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "inherit", lineHeight: "1.6" },
  // Room above the first line for the name at somebody's caret.
  ".cm-content": { padding: "1.375rem 0 2rem", caretColor: "var(--ink)" },
  ".cm-line": { padding: "0 1.25rem" },
  ".cm-placeholder": { color: "var(--soft)" },
  ".cm-specialChar": { color: "var(--bad)" },
})

const marks = HighlightStyle.define([
  { tag: tags.heading1, fontSize: "1.4em", fontWeight: "700" },
  { tag: tags.heading2, fontSize: "1.2em", fontWeight: "700" },
  { tag: tags.heading, fontWeight: "700" },
  { tag: tags.strong, fontWeight: "700" },
  { tag: tags.emphasis, fontStyle: "italic" },
  { tag: tags.strikethrough, textDecoration: "line-through" },
  { tag: tags.quote, color: "var(--soft)", fontStyle: "italic" },
  { tag: [tags.link, tags.url], color: "var(--accent)" },
  { tag: tags.link, textDecoration: "underline" },
  { tag: tags.monospace, fontFamily: "ui-monospace, monospace", fontSize: "0.9em" },
  { tag: [tags.processingInstruction, tags.contentSeparator, tags.meta, tags.comment], color: "var(--soft)" },
  { tag: [tags.keyword, tags.tagName, tags.bool], color: "var(--accent)" },
  { tag: [tags.string, tags.attributeValue, tags.number], color: "var(--good)" },
])

export const theme: Extension = [view, syntaxHighlighting(marks)]
