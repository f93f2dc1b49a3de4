import { useAtrium } from "atrium-client/react"
import { useRef, useState } from "react"
import { Dialog } from "../shell/dialog.tsx"

/** What an operator may do to a user. */
export interface Act {
  kind: "disconnect" | "revoke"
  userId: string
  username: string
}

const words = {
  disconnect: {
    ask: (name: string) => `Disconnect ${name}?`,
    means: "All sessions of this user are closed, on all nodes. Clients do not come back by themselves; the user may sign in again.",
    act: "Disconnect",
  },
  revoke: {
    ask: (name: string) => `Revoke the tokens of ${name}?`,
    means: "Every token that this user has been given until now is refused from now on, and all sessions are closed.",
    act: "Revoke",
  },
}

/** Asks whether it is meant, and does it. */
export function ActDialog({ act: { kind, userId, username }, close }: { act: Act; close: () => void }) {
  const client = useAtrium()
  const dialog = useRef<HTMLDialogElement>(null)
  const [problem, setProblem] = useState("")
  const [busy, setBusy] = useState(false)
  const { ask, means, act } = words[kind]

  const go = async () => {
    setBusy(true)
    try {
      const answer = await client.fetch(`api/v1/users/${encodeURIComponent(userId)}/${kind}`, { method: "POST" })
      if (!answer.ok) throw new Error(`The server refused (${answer.status}).`)
      dialog.current!.close()
    } catch (error) {
      setProblem(error instanceof TypeError ? "The server does not answer. Try again later." : (error as Error).message)
      setBusy(false)
    }
  }

  return (
    <Dialog dialog={dialog} title={ask(username || userId)} text={means} problem={problem} close={close}>
      <button type="button" className="danger" disabled={busy} onClick={() => void go()}>
        {act}
      </button>
    </Dialog>
  )
}
