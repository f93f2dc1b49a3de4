import type { DocHandle } from "@automerge/automerge-repo"
import type { SavedState } from "atrium-client"
import { useConnection, useSaved } from "atrium-client/react"
import { useEffect, useState } from "react"
import { useWorkspace } from "../workspace.ts"

const order: SavedState[] = ["local", "received", "disk"]
/** What is saved faster than this is not worth a flicker. */
const calm = 400

/** How safe the newest state of a document is. */
export function SavedMark({ handle }: { handle: DocHandle<any> }) {
  const state = useCalm(useSaved(handle))
  const offline = useConnection() !== "online"
  const kept = useKept(handle, offline)
  const words = { local: offline && kept ? "Saved here" : "Saving…", received: "Received", disk: "On disk" }
  return (
    <span className="saved" data-state={state} title="Where your newest words are">
      {words[state]}
    </span>
  )
}

/** Whether the newest state is kept in this browser; it is looked at while that is all there is. */
function useKept(handle: DocHandle<any>, wanted: boolean): boolean {
  const { repo } = useWorkspace()
  const [kept, setKept] = useState(false)
  useEffect(() => {
    if (!wanted) return
    let newest = 0
    const keep = async () => {
      const own = ++newest
      setKept(false)
      await repo.flush([handle.documentId])
      if (own === newest) setKept(true)
    }
    void keep()
    handle.on("heads-changed", keep)
    return () => {
      newest++
      handle.off("heads-changed", keep)
    }
  }, [handle, repo, wanted])
  return kept
}

/** The state; a worse one only once it has lasted. */
function useCalm(state: SavedState): SavedState {
  const [shown, setShown] = useState(state)
  const worse = order.indexOf(state) < order.indexOf(shown)
  useEffect(() => {
    if (!worse) return setShown(state)
    const timer = setTimeout(() => setShown(state), calm)
    return () => clearTimeout(timer)
  }, [worse, state])
  return worse ? shown : state
}
