import * as A from "@automerge/automerge"
import type { DocHandle, DocHandleChangePayload } from "@automerge/automerge-repo"
import { useEffect, useRef } from "react"
import type { Content } from "./content.ts"

/** A document's title, written together like its text. */
export function TitleField({ handle, mayWrite }: { handle: DocHandle<Content>; mayWrite: boolean }) {
  const field = useRef<HTMLInputElement>(null)

  // The field always says what the document says: whatever is typed next differs from that by the typing alone.
  useEffect(() => {
    const show = ({ doc, patches }: DocHandleChangePayload<Content>) => {
      const input = field.current!
      const title = doc.title ?? ""
      if (input.value === title) return
      const selection = [input.selectionStart ?? 0, input.selectionEnd ?? 0].map((index) => follow(index, patches))
      input.value = title
      if (document.activeElement === input) input.setSelectionRange(selection[0]!, selection[1]!)
    }
    handle.on("change", show)
    return () => void handle.off("change", show)
  }, [handle])

  const write = (text: string) => {
    handle.change((content) => {
      if (typeof content.title === "string") A.updateText(content, ["title"], text)
      else content.title = text
    })
  }

  return (
    <input
      ref={field}
      className="title"
      aria-label="Title"
      placeholder="Untitled"
      autoComplete="off"
      readOnly={!mayWrite}
      autoFocus={mayWrite && !handle.doc().title}
      defaultValue={handle.doc().title ?? ""}
      onChange={(event) => write(event.target.value)}
    />
  )
}

/** Where a caret in the title is after changes; in front of what is written right there. */
function follow(index: number, patches: A.Patch[]): number {
  for (const patch of patches) {
    const [field, at] = patch.path
    if (field !== "title" || typeof at !== "number" || at >= index) continue
    if (patch.action === "splice") index += patch.value.length
    if (patch.action === "del") index -= Math.min(patch.length ?? 1, index - at)
  }
  return index
}
