import * as A from "@automerge/automerge"
import type { DocHandle } from "@automerge/automerge-repo"
import type { Client } from "atrium-client"
import { useAtrium, useConnection, useSaved } from "atrium-client/react"
import { useCallback, useEffect, useMemo, useState } from "react"
import type { Content } from "../documents/content.ts"
import { type Change, type Version, versions } from "./versions.ts"

interface Log {
  changes: Change[]
  /** The heads at the time of the newest page. */
  top: string[]
  more: boolean
}

const pageOf = 500
/** While people type, the newest page is asked for so often at most. */
const calm = 1_000
const away = "The history is on the server, which does not answer."

export interface History {
  versions: Version[] | undefined
  more: boolean
  problem: string
  older: () => Promise<void>
}

/** A document's versions, the newest first: those of the newest page, and older ones as they are asked for. */
export function useHistory(handle: DocHandle<Content>): History {
  const client = useAtrium()
  const online = useConnection() === "online"
  const saved = useSaved(handle)
  const [log, setLog] = useState<Log>()
  const [problem, setProblem] = useState("")
  const newest = log?.top.join() ?? ""

  const attempt = useCallback(async (act: () => Promise<void>) => {
    try {
      await act()
      setProblem("")
    } catch (error) {
      setProblem(error instanceof TypeError ? away : (error as Error).message)
    }
  }, [])

  useEffect(() => {
    if (!online || saved !== "disk") return
    const read = () =>
      attempt(async () => {
        if (A.getHeads(handle.doc()).join() === newest) return
        const top = await headsOf(client, handle)
        const page = await pageBefore(client, handle.documentId)
        setLog((known) => joined(known, { ...page, top }))
      })
    void read()
    let timer: ReturnType<typeof setTimeout> | undefined
    const later = () => void (timer ??= setTimeout(() => ((timer = undefined), void read()), calm))
    handle.on("heads-changed", later)
    return () => {
      handle.off("heads-changed", later)
      clearTimeout(timer)
    }
  }, [client, handle, online, saved, newest, attempt])

  const older = () =>
    attempt(async () => {
      const page = await pageBefore(client, handle.documentId, log?.changes.at(-1)?.position)
      setLog((known) => known && { ...known, more: page.more, changes: [...known.changes, ...page.changes] })
    })

  const made = useMemo(() => log && versions(log.changes, log.top), [log])
  return { versions: made, more: log?.more ?? false, problem: online ? problem : away, older }
}

/** The newest page in front of what is known already, unless there is a gap between them. */
function joined(known: Log | undefined, page: Log): Log {
  const last = page.changes.at(-1)?.position ?? 0
  const old = known?.changes.filter(({ position }) => position < last) ?? []
  if (!known || old[0]?.position !== last - 1) return page
  return { changes: [...page.changes, ...old], top: page.top, more: known.more }
}

async function pageBefore(client: Client, documentId: string, before?: number): Promise<Omit<Log, "top">> {
  const query = before === undefined ? "" : `&before=${before}`
  const answer = await ask(client, `api/v1/documents/${documentId}/history?limit=${pageOf}${query}`)
  return (await answer.json()) as Omit<Log, "top">
}

/** The heads that the server has. It need not send the content along if the browser has the same. */
async function headsOf(client: Client, handle: DocHandle<Content>): Promise<string[]> {
  const headers = { "If-None-Match": `"${A.getHeads(handle.doc()).join()}"` }
  const answer = await ask(client, `api/v1/documents/${handle.documentId}`, { headers })
  await answer.body?.cancel()
  return answer.headers.get("ETag")!.replaceAll('"', "").split(",")
}

/** Brings back the content at some heads; with the same key it does so once. */
export async function restore(client: Client, documentId: string, heads: string[], key: string): Promise<void> {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key }
  await ask(client, `api/v1/documents/${documentId}/restore`, { method: "POST", headers, body: JSON.stringify({ heads }) })
}

async function ask(client: Client, path: string, init?: RequestInit): Promise<Response> {
  const answer = await client.fetch(path, init)
  if (!answer.ok && answer.status !== 304) throw new Error(`The server refused (${answer.status}).`)
  return answer
}
