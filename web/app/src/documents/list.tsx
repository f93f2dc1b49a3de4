import type { DocHandle } from "@automerge/automerge-repo"
import { type ReactNode, useState } from "react"
import { Link } from "wouter"
import { useTitle } from "../shell/title.ts"
import { useWorkspace } from "../workspace.ts"
import { type Catalog, catalogId, changed, type Entry, useCatalog, useEntries } from "./catalog.ts"
import { granted, named } from "./grants.ts"
import { NewDocument, OpenByLink } from "./new.tsx"
import { openedBy } from "./opened.ts"
import { type Removed, RemoveDialog } from "./remove.tsx"
import { shortTime } from "./time.ts"
import "./list.css"

/** The workspace's documents; for whoever may not see their list, those that they know otherwise. */
export function DocumentList() {
  const catalog = useCatalog()
  const handle = catalog.state === "ready" ? catalog.handle : undefined
  useTitle("Documents")
  return (
    <div className="documents">
      <header>
        <h1>Documents</h1>
        <OpenByLink />
        <NewDocument catalog={handle} />
      </header>
      {handle ? <All catalog={handle} /> : catalog.state !== "loading" && <Known />}
    </div>
  )
}

function All({ catalog }: { catalog: DocHandle<Catalog> }) {
  const { me } = useWorkspace()
  const mayWrite = granted(me.docs, catalogId) === "write"
  const entries = useEntries(catalog)
  const [removed, setRemoved] = useState<Removed>()
  if (entries.length === 0) {
    return (
      <Empty>
        <p>There are no documents yet. Make the first one with “New document”: everybody here will see it.</p>
      </Empty>
    )
  }
  return (
    <>
      <ul className="card">
        {entries.map(([documentId, entry]) => (
          <Row key={documentId} documentId={documentId} title={entry.title} about={<Made entry={entry} />}>
            {mayWrite && (
              <button
                type="button"
                className="plain"
                aria-label={`Remove ${entry.title || "Untitled"}`}
                onClick={() => setRemoved({ documentId, title: entry.title })}
              >
                Remove…
              </button>
            )}
          </Row>
        ))}
      </ul>
      {removed && <RemoveDialog {...removed} catalog={catalog} close={() => setRemoved(undefined)} />}
    </>
  )
}

/** What was opened in this browser, and what the token names. */
function Known() {
  const { me } = useWorkspace()
  const opened = openedBy(me.userId)
  const ids = [...new Set([...Object.keys(opened), ...named(me.docs)])]
  const when = (id: string) => opened[id]?.openedAt ?? 0
  if (ids.length === 0) {
    return (
      <Empty>
        <p>You have opened no document in this browser yet. Open one by the link that somebody has given you.</p>
      </Empty>
    )
  }
  return (
    <>
      <p className="soft">Those you have opened in this browser, or were let into by name.</p>
      <ul className="card">
        {ids
          .sort((a, b) => when(b) - when(a))
          .map((id) => {
            const known = opened[id]
            const about = known && <>Opened {shortTime(known.openedAt)}</>
            return <Row key={id} documentId={id} title={known ? known.title : id} about={about} />
          })}
      </ul>
    </>
  )
}

interface RowProps {
  documentId: string
  title: string
  about: ReactNode
  children?: ReactNode
}

function Row({ documentId, title, about, children }: RowProps) {
  return (
    <li>
      <Link href={`/d/${documentId}`}>{title || "Untitled"}</Link>
      <span className="soft">{about}</span>
      {children}
    </li>
  )
}

function Made({ entry }: { entry: Entry }) {
  const time = changed(entry)
  return (
    <>
      {entry.changedAt ? "Changed" : "Made"} <time dateTime={new Date(time).toISOString()}>{shortTime(time)}</time>
      {!entry.changedAt && ` by ${entry.createdBy}`}
    </>
  )
}

const Empty = ({ children }: { children: ReactNode }) => <div className="card empty soft">{children}</div>
