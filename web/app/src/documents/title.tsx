import * as A from "@automerge/automerge"
import type { DocHandle } from "@automerge/automerge-repo"
import { useLayoutEffect, useRef } from "react"
import { type Content, useContent } from "./handle.ts"

/** A document's title, written together like its text. */
export function TitleField({ handle, mayWrite }: { handle: DocHandle<Content>; mayWrite: boolean }) {
  const title = useContent(handle, (content) => content.title ?? "")
  const field = useRef<HTMLInputElement>(null)
  const shown = useRef(title)
  const caret = useRef<[number, number]>([0, 0])

  // A field whose value is set has its caret at the end: here it stays where it was in the words.
  useLayoutEffect(() => {
    const input = field.current!
    const ofOthers = shown.current !== title
    if (ofOthers && document.activeElement === input) {
      const [from, to] = caret.current.map((index) => moved(index, shown.current, title)) as [number, number]
      input.setSelectionRange(from, to)
      caret.current = [from, to]
    }
    shown.current = title
  }, [title])

  const write = (text: string) => {
    shown.current = text
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
      value={title}
      onChange={(event) => write(event.target.value)}
      onSelect={({ currentTarget }) => (caret.current = [currentTarget.selectionStart ?? 0, currentTarget.selectionEnd ?? 0])}
    />
  )
}

/** Where an index of one text is in another that differs in one place. */
function moved(index: number, from: string, to: string): number {
  let same = 0
  while (same < index && from[same] === to[same]) same++
  return same === index ? index : Math.max(same, index + to.length - from.length)
}
