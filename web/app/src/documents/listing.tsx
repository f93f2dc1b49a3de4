import * as A from "@automerge/automerge"
import type { DocHandle } from "@automerge/automerge-repo"
import { useEffect } from "react"
import { useWorkspace } from "../workspace.ts"
import { add, type Catalog, catalogId, rename, touch, useCatalog } from "./catalog.ts"
import { granted } from "./grants.ts"
import type { Content } from "./content.ts"
import { useContent } from "./handle.ts"

/** Keeps what the list of all documents says of one up to date; one that is not in it can be put there. */
export function Listing({ handle }: { handle: DocHandle<Content> }) {
  const { me } = useWorkspace()
  const catalog = useCatalog()
  if (catalog.state !== "ready" || granted(me.docs, catalogId) !== "write") return null
  return <Entry handle={handle} catalog={catalog.handle} />
}

/** One's own edits are told once they pause. */
const pause = 500
/** What others have done they tell themselves; if not, as programs, somebody does it for them. */
const patience = 3_000

function Entry({ handle, catalog }: { handle: DocHandle<Content>; catalog: DocHandle<Catalog> }) {
  const { me } = useWorkspace()
  const { documentId } = handle
  const title = useContent(handle, (content) => content.title ?? "")
  const listed = useContent(catalog, ({ documents }) => documents[documentId] !== undefined)

  useEffect(() => {
    const timer = setTimeout(() => rename(catalog, documentId, title), patience * (1 + Math.random()))
    return () => clearTimeout(timer)
  }, [catalog, documentId, title])

  useEffect(() => {
    let known = newestOwn(handle)
    let timer: ReturnType<typeof setTimeout> | undefined
    const tell = () => {
      timer = undefined
      const newest = newestOwn(handle)
      if (newest === known) return
      known = newest
      rename(catalog, documentId, handle.doc().title ?? "")
      touch(catalog, documentId)
    }
    const later = () => void (timer ??= setTimeout(tell, pause))
    handle.on("change", later)
    return () => {
      handle.off("change", later)
      clearTimeout(timer)
      if (timer !== undefined) tell()
    }
  }, [handle, catalog, documentId])

  if (listed) return null
  return (
    <p className="notice">
      This document is not in the list.{" "}
      <button type="button" onClick={() => add(catalog, documentId, title, me.name)}>
        Put it there
      </button>
    </p>
  )
}

/** The hash of the newest change that was made here. */
function newestOwn(handle: DocHandle<Content>): string | undefined {
  const change = A.getLastLocalChange(handle.doc())
  return change && A.decodeChange(change).hash
}
