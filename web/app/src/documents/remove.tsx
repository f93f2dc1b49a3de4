import type { AutomergeUrl, DocHandle } from "@automerge/automerge-repo"
import { useAtrium } from "atrium-client/react"
import { useRef, useState } from "react"
import { Dialog } from "../shell/dialog.tsx"
import { useWorkspace } from "../workspace.ts"
import { type Catalog, remove } from "./catalog.ts"
import { forget } from "./opened.ts"

export interface Removed {
  documentId: string
  title: string
}

/** Asks how far a document shall go: out of the list, or for good. */
export function RemoveDialog({ documentId, title, catalog, close }: Removed & { catalog: DocHandle<Catalog>; close: () => void }) {
  const { me, repo } = useWorkspace()
  const client = useAtrium()
  const dialog = useRef<HTMLDialogElement>(null)
  const [problem, setProblem] = useState("")
  const [busy, setBusy] = useState(false)

  const unlist = () => {
    dialog.current!.close()
    document.getElementById("content")!.focus() // the button that had the focus goes with its row
    remove(catalog, documentId)
    forget(me.userId, documentId)
  }
  const destroy = async () => {
    setBusy(true)
    try {
      const answer = await client.fetch(`api/v1/documents/${documentId}`, { method: "DELETE" })
      // 404 and 410: it never came to the server, or has gone already.
      if (!answer.ok && answer.status !== 404 && answer.status !== 410) {
        throw new Error(answer.status === 403 ? "You may not delete this document." : `The server refused (${answer.status}).`)
      }
      repo.delete(`automerge:${documentId}` as AutomergeUrl)
      unlist()
    } catch (error) {
      setProblem(error instanceof TypeError ? "The server does not answer. Try again later." : (error as Error).message)
      setBusy(false)
    }
  }

  return (
    <Dialog
      dialog={dialog}
      title={`Remove “${title || "Untitled"}”?`}
      text="Out of the list, it can still be opened by its link. Deleted, it is gone for everyone, with its history, and nobody can bring it back."
      problem={problem}
      close={close}
    >
      <button type="button" onClick={unlist}>
        Remove from the list
      </button>
      <button type="button" className="danger" disabled={busy} onClick={() => void destroy()}>
        Delete for everyone
      </button>
    </Dialog>
  )
}
