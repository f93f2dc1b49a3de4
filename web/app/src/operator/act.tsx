import { useAtrium } from "atrium-client/react"
import { useEffect, useRef, useState } from "react"

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
  useEffect(() => dialog.current!.showModal(), [])

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
    <dialog ref={dialog} className="card" aria-labelledby="act-title" onClose={close}>
      <h2 id="act-title">{ask(username || userId)}</h2>
      <p>{means}</p>
      <p role="alert" className="problem">
        {problem}
      </p>
      <div className="choices">
        <button type="button" onClick={() => dialog.current!.close()}>
          Cancel
        </button>
        <button type="button" className="danger" disabled={busy} onClick={() => void go()}>
          {act}
        </button>
      </div>
    </dialog>
  )
}
