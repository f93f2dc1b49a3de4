import type { DocHandle } from "@automerge/automerge-repo"
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands"
import { markdown, markdownLanguage } from "@codemirror/lang-markdown"
import { Compartment, EditorState, type Extension } from "@codemirror/state"
import { EditorView, highlightSpecialChars, keymap, placeholder } from "@codemirror/view"
import type { CursorUpdate, Place } from "atrium-client"
import { useEffect, useRef } from "react"
import type { Content } from "../documents/content.ts"
import { others, setOthers } from "./others.ts"
import { placeOf } from "./place.ts"
import { isInStep, isOfOthers, sync } from "./sync.ts"
import { theme } from "./theme.ts"
import "./editor.css"

interface Props {
  handle: DocHandle<Content>
  mayWrite: boolean
  cursors: ReadonlyMap<string, CursorUpdate>
  /** Told where the user is; nowhere, once the editor goes. */
  move: (place: Place | undefined) => void
}

/** The text of a document, with the others' carets in it. Tab leaves it. */
export function Editor({ handle, mayWrite, cursors, move }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(undefined)
  const mode = useRef(new Compartment())

  useEffect(() => {
    view.current = new EditorView({
      parent: box.current!,
      state: EditorState.create({
        doc: handle.doc().text,
        extensions: [
          sync(handle),
          others(handle),
          movesTo(handle, move),
          mode.current.of(reading),
          history(),
          keymap.of([...defaultKeymap, ...historyKeymap]),
          markdown({ base: markdownLanguage }),
          highlightSpecialChars(),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": "Text", spellcheck: "true" }),
          EditorView.clipboardInputFilter.of((text) => text.replaceAll(/\r\n?/g, "\n")),
          theme,
        ],
      }),
    })
    return () => {
      move(undefined)
      view.current!.destroy()
    }
  }, [handle, move])

  useEffect(() => {
    view.current!.dispatch({ effects: mode.current.reconfigure(mayWrite ? writing : reading) })
  }, [handle, move, mayWrite])

  useEffect(() => {
    view.current!.dispatch({ effects: setOthers.of([...cursors.values()]) })
  }, [handle, move, cursors])

  return <div className="editor" ref={box} />
}

const writing: Extension = placeholder("Write…")
/** The text can still be reached, to be scrolled and copied by keyboard. */
const reading: Extension = [
  EditorState.readOnly.of(true),
  EditorView.editable.of(false),
  EditorView.contentAttributes.of({ tabindex: "0" }),
]

/** Tells where the user is, from the first time that they are there. */
function movesTo(handle: DocHandle<Content>, move: Props["move"]): Extension {
  let last = ""
  return EditorView.updateListener.of(({ view, state, transactions, docChanged, selectionSet, focusChanged }) => {
    const byOthers = transactions.some(isOfOthers)
    const moved = byOthers ? transactions.some(isInStep) : docChanged || selectionSet || focusChanged
    if (!moved || (!last && !view.hasFocus)) return
    const cursor = placeOf(handle.doc(), state.selection.main)
    const text = JSON.stringify(cursor)
    if (text !== last) move({ cursor })
    last = text
  })
}
