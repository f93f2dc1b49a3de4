// Documents of the repo, for components.

import { type AutomergeUrl, type DocHandle, isValidDocumentId } from "@automerge/automerge-repo"
import type { DocumentState } from "atrium-client"
import { useAtrium } from "atrium-client/react"
import { useCallback, useEffect, useState, useSyncExternalStore } from "react"
import { useWorkspace } from "../workspace.ts"

export type Found<T> = { state: "loading" | "absent" | "broken" } | { state: "ready"; handle: DocHandle<T> }

/** Finds a document, if one is named, and waits for it for as long as the component is there. */
export function useHandle<T>(documentId: string | undefined): Found<T> {
  const { repo } = useWorkspace()
  const [found, setFound] = useState<Found<T>>({ state: "loading" })
  useEffect(() => {
    if (documentId === undefined) return setFound({ state: "absent" })
    if (!isValidDocumentId(documentId) || repo.handles[documentId]?.isDeleted()) return setFound({ state: "broken" })
    let handle: DocHandle<T> | undefined
    const look = () => setFound(handle!.isReady() ? { state: "ready", handle: handle! } : { state: "absent" })
    const later = () => queueMicrotask(look) // a handle tells of its first content before it is ready
    const gone = new AbortController()
    repo
      .find<T>(`automerge:${documentId}` as AutomergeUrl, { allowableStates: ["ready", "unavailable"], signal: gone.signal })
      .then((made) => {
        if (gone.signal.aborted) return
        handle = made
        look()
        if (!handle.isReady()) handle.on("heads-changed", later)
      })
      .catch(() => gone.signal.aborted || setFound({ state: "broken" }))
    return () => {
      gone.abort()
      handle?.off("heads-changed", later)
    }
  }, [repo, documentId])
  return found
}

/** Something of a document's content, kept up to date. What is read must be a primitive, or a part of the content. */
export function useContent<T, R>(handle: DocHandle<T>, read: (content: T) => R): R {
  const subscribe = useCallback(
    (listener: () => void) => {
      handle.on("change", listener)
      return () => void handle.off("change", listener)
    },
    [handle],
  )
  return useSyncExternalStore(subscribe, () => read(handle.doc()))
}

/** Who else has a document open, and what the user may do with it. */
export function useDocumentState(documentId: string): DocumentState {
  const document = useAtrium().documents.open(documentId)
  return useSyncExternalStore(document.subscribe, () => document.value)
}
