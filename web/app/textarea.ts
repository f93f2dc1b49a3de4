// A textarea bound to the `text` of a document.

import { type DocHandle, updateText } from "@automerge/automerge-repo/slim"

export interface SharedText {
  text?: string
}

/**
 * Keeps the two alike from now on. What is typed becomes splices of what the
 * textarea showed; what others type leaves caret and selection where they stood.
 */
export function bind(area: HTMLTextAreaElement, handle: DocHandle<SharedText>): void {
  let shown = handle.heads()
  let hold = false // while an input method composes, and while we write

  const show = () => {
    if (hold) return
    for (const { action, path, ...patch } of handle.diff(shown, handle.heads())) {
      const [field, at] = path
      if (field !== "text" || typeof at !== "number") continue
      const { value = "", length = 1 } = patch as { value?: string; length?: number }
      area.setRangeText(value, at, action === "del" ? at + length : at, "preserve")
    }
    shown = handle.heads()
    const text = handle.doc().text ?? ""
    if (area.value !== text) area.value = text
  }
  const write = () => {
    hold = true
    const wrote = handle.changeAt(shown, (doc) => {
      doc.text ??= ""
      updateText(doc, ["text"], area.value)
    })
    hold = false
    shown = wrote ?? shown
    show()
  }

  area.value = handle.doc().text ?? ""
  area.disabled = false
  area.addEventListener("input", () => hold || write())
  area.addEventListener("compositionstart", () => (hold = true))
  area.addEventListener("compositionend", write)
  handle.on("change", show)
}
