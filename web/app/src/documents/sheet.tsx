import type { DocHandle } from "@automerge/automerge-repo"
import { useCursors } from "atrium-client/react"
import { type KeyboardEvent, useEffect, useRef, useState } from "react"
import { Editor } from "../editor/editor.tsx"
import { HistoryPanel } from "../history/panel.tsx"
import { Preview } from "../history/preview.tsx"
import type { Version } from "../history/versions.ts"
import { useTitle } from "../shell/title.ts"
import { useWorkspace } from "../workspace.ts"
import { granted } from "./grants.ts"
import type { Content } from "./content.ts"
import { useContent, useDocumentState } from "./handle.ts"
import { Listing } from "./listing.tsx"
import { remember } from "./opened.ts"
import { People } from "./people.tsx"
import { SavedMark } from "./saved.tsx"
import { TitleField } from "./title.tsx"
import "./sheet.css"

/** A document that is here: its title, who else has it open, its text, its history. */
export function Sheet({ handle, deleted }: { handle: DocHandle<Content>; deleted: boolean }) {
  const { me } = useWorkspace()
  const { documentId } = handle
  const { cursors, users, move } = useCursors(documentId)
  const { access = granted(me.docs, documentId) } = useDocumentState(documentId)
  const title = useContent(handle, (content) => content.title ?? "")
  const isText = useContent(handle, (content) => typeof content.text === "string")
  const [past, setPast] = useState(false)
  const [version, setVersion] = useState<Version>()
  const toPast = useRef<HTMLButtonElement>(null)
  const desk = useRef<HTMLDivElement>(null)
  const mayWrite = access === "write" && !deleted

  useTitle(title || "Untitled")
  useEffect(() => remember(me.userId, documentId, { title, openedAt: Date.now() }), [me.userId, documentId, title])

  const toNow = () => {
    setVersion(undefined)
    toPast.current!.focus()
  }
  const closeHistory = () => {
    setPast(false)
    toNow()
  }
  const leave = ({ key, defaultPrevented, target }: KeyboardEvent) => {
    if (key !== "Escape" || defaultPrevented || !past) return
    if (version) toNow()
    else if (!desk.current!.querySelector(".editor")?.contains(target as Node)) closeHistory()
    else setPast(false) // whoever writes goes on writing
  }

  return (
    <article className="sheet" onKeyDown={leave}>
      <h1 className="visually-hidden">{title || "Untitled"}</h1>
      <header>
        <TitleField handle={handle} mayWrite={mayWrite} />
        <People users={users} />
        {mayWrite && <SavedMark handle={handle} />}
        <button type="button" ref={toPast} aria-expanded={past} onClick={() => (past ? closeHistory() : setPast(true))}>
          History
        </button>
      </header>
      {deleted && <p className="notice">This document has been deleted. What you see is your browser's copy.</p>}
      {!deleted && access === "read" && <p className="notice">You may read this document.</p>}
      {mayWrite && <Listing handle={handle} />}
      {!isText && <p className="notice">This document has no text. It was made by another program, for another use.</p>}
      <div className="desk" ref={desk}>
        {isText && (
          <div className="card text" hidden={version !== undefined}>
            <Editor handle={handle} mayWrite={mayWrite} cursors={cursors} move={move} />
          </div>
        )}
        {version && (
          <Preview key={version.position} handle={handle} version={version} users={users} mayWrite={mayWrite} close={toNow} />
        )}
        {past && <HistoryPanel handle={handle} users={users} chosen={version} choose={setVersion} close={closeHistory} />}
      </div>
    </article>
  )
}
