import { initializeWasm } from "@automerge/automerge"
import wasmUrl from "@automerge/automerge/automerge.wasm?url"
import { Repo } from "@automerge/automerge-repo"
import { IndexedDBStorageAdapter } from "@automerge/automerge-repo-storage-indexeddb"
import { type Client, connect } from "atrium-client"
import { createContext, useContext } from "react"
import type { Claims, Session } from "./session.ts"

/** What somebody who has signed in works with. */
export interface Workspace {
  me: Claims
  client: Client
  repo: Repo
}

const wasm = initializeWasm(wasmUrl)

/** Connects, once for each sign-in. Documents are kept in the browser too, apart for each user. */
export async function openWorkspace(session: Session): Promise<Workspace> {
  await wasm
  const client = connect({ url: "/ws", getToken: () => session.token() })
  client.on("error", (error) => console.warn(`${error.code}: ${error.message}`))
  const repo = new Repo({
    network: [client.repoAdapter()],
    storage: new IndexedDBStorageAdapter(`atrium-${session.claims.userId}`),
  })
  return { me: session.claims, client, repo }
}

const Context = createContext<Workspace | undefined>(undefined)
export const WorkspaceProvider = Context.Provider

/** The workspace of who has signed in. */
export function useWorkspace(): Workspace {
  const workspace = useContext(Context)
  if (!workspace) throw new Error("nobody has signed in")
  return workspace
}
