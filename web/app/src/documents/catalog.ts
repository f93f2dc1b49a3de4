// The list of the workspace's documents is a document itself, which everybody has.

import { type DocHandle, isValidDocumentId } from "@automerge/automerge-repo"
import { useAtrium, useConnection } from "atrium-client/react"
import { useEffect, useMemo } from "react"
import { useWorkspace } from "../workspace.ts"
import { granted } from "./grants.ts"
import { type Found, useContent, useHandle } from "./handle.ts"

/** The bs58check of the bytes "atrium documents". */
export const catalogId = "2MkLYUxA4K6Um8BKoXgnMoNameoe"

export interface Entry {
  title: string
  /** Milliseconds since 1970. */
  createdAt: number
  /** A name, for people. */
  createdBy: string
  /** Of the newest edit, give or take some minutes. */
  changedAt?: number
}

export interface Catalog {
  documents: Record<string, Entry>
}

/** An edit is told to the catalog so often at most: each telling is a change that is kept forever. */
const touchEvery = 5 * 60_000

/**
 * Finds the catalog. Its beginning is made by the server, once: were each browser to
 * make it, the lists of all but one would be lost.
 */
export function useCatalog(): Found<Catalog> {
  const { me } = useWorkspace()
  const client = useAtrium()
  const online = useConnection() === "online"
  const found = useHandle<Catalog>(granted(me.docs, catalogId) && catalogId)
  const absent = found.state !== "ready"
  const mayMake = granted(me.docs, catalogId) === "write"
  useEffect(() => {
    if (!online || !absent || !mayMake) return
    const headers = { "Content-Type": "application/json" }
    const body = JSON.stringify({ documentId: catalogId, content: { documents: {} } })
    // Without an answer there is no list yet; with the next connection it is tried again.
    client.fetch("api/v1/documents", { method: "POST", headers, body }).catch(() => {})
  }, [client, online, absent, mayMake])
  return found
}

/** The entries of a catalog, the newest change first. Whoever may write may have put anything there. */
export function useEntries(handle: DocHandle<Catalog>): [documentId: string, entry: Entry][] {
  const documents = useContent(handle, ({ documents }) => documents)
  return useMemo(
    () =>
      Object.entries(documents ?? {})
        .filter(([id, entry]) => isValidDocumentId(id) && typeof entry?.title === "string")
        .sort(([, a], [, b]) => changed(b) - changed(a)),
    [documents],
  )
}

export const changed = ({ changedAt, createdAt }: Entry): number => changedAt ?? createdAt

export function add(catalog: DocHandle<Catalog>, documentId: string, title: string, createdBy: string): void {
  catalog.change(({ documents }) => void (documents[documentId] = { title, createdAt: Date.now(), createdBy }))
}

export function remove(catalog: DocHandle<Catalog>, documentId: string): void {
  catalog.change(({ documents }) => void delete documents[documentId])
}

export function rename(catalog: DocHandle<Catalog>, documentId: string, title: string): void {
  const entry = catalog.doc().documents[documentId]
  if (entry && entry.title !== title) catalog.change(({ documents }) => void (documents[documentId]!.title = title))
}

/** Tells the catalog that a document has been edited just now. */
export function touch(catalog: DocHandle<Catalog>, documentId: string): void {
  const entry = catalog.doc().documents[documentId]
  if (!entry || Date.now() - changed(entry) < touchEvery) return
  catalog.change(({ documents }) => void (documents[documentId]!.changedAt = Date.now()))
}
