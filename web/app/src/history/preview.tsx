import * as A from "@automerge/automerge"
import type { DocHandle } from "@automerge/automerge-repo"
import type { Member } from "atrium-client"
import { useAtrium } from "atrium-client/react"
import { useMemo, useState } from "react"
import type { Content } from "../documents/content.ts"
import { useContent } from "../documents/handle.ts"
import { shortTime } from "../documents/time.ts"
import { difference, type Part } from "./difference.ts"
import { restore } from "./log.ts"
import { useAuthors } from "./panel.tsx"
import type { Version } from "./versions.ts"

interface Props {
  handle: DocHandle<Content>
  version: Version
  users: readonly Member[]
  mayWrite: boolean
  close: () => void
}

/** What a document was, with what has become different since. */
export function Preview({ handle, version, users, mayWrite, close }: Props) {
  const client = useAtrium()
  const authors = useAuthors(version.userIds, users)
  const doc = useContent(handle, (content) => content) as A.Doc<Content>
  const parts = useMemo(() => difference(doc, version.heads), [doc, version])
  const title = useMemo(() => (A.hasHeads(doc, version.heads) ? A.view(doc, version.heads).title : doc.title), [doc, version])
  const same = title === doc.title && parts?.every(({ kind }) => kind === "same")
  // One key for as long as the version is looked at: whoever asks again after an error restores once.
  const [key] = useState(() => Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join(""))
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState("")

  const bringBack = async () => {
    setBusy(true)
    try {
      await restore(client, handle.documentId, version.heads, key)
      close()
    } catch (error) {
      setProblem(error instanceof TypeError ? "The server does not answer. Try again later." : (error as Error).message)
      setBusy(false)
    }
  }

  return (
    <section className="card preview" aria-label="An older version">
      <header>
        <h2>
          <time dateTime={version.ended}>{shortTime(new Date(version.ended))}</time> <span className="soft">{authors}</span>
        </h2>
        {mayWrite && (
          <button type="button" className="primary" disabled={busy || !parts || same} onClick={() => void bringBack()}>
            Restore this version
          </button>
        )}
        <button type="button" onClick={close}>
          Back to now
        </button>
      </header>
      <p className="legend">
        {same ? (
          "The document says the same now."
        ) : (
          <>
            <ins>deleted since</ins> <del>written since</del>
          </>
        )}
        <span role="alert" className="problem">
          {problem}
        </span>
      </p>
      <div className="past" tabIndex={0} role="group" aria-label="Its text">
        {title !== doc.title && <p className="title">{title || "Untitled"}</p>}
        {parts ? parts.map(show) : <p className="soft">This version is on its way…</p>}
      </div>
    </section>
  )
}

function show({ kind, text }: Part, index: number) {
  if (kind === "then") return <ins key={index}>{text}</ins>
  if (kind === "since") return <del key={index}>{text}</del>
  return <span key={index}>{text}</span>
}
