import type { DocHandle } from "@automerge/automerge-repo"
import type { Member } from "atrium-client"
import { useState } from "react"
import type { Content } from "../documents/content.ts"
import { shortTime } from "../documents/time.ts"
import { useWorkspace } from "../workspace.ts"
import { useHistory } from "./log.ts"
import type { Version } from "./versions.ts"
import "./history.css"

interface Props {
  handle: DocHandle<Content>
  users: readonly Member[]
  chosen: Version | undefined
  choose: (version: Version) => void
  close: () => void
}

/** The versions of a document, to choose one. */
export function HistoryPanel({ handle, users, chosen, choose, close }: Props) {
  const { versions, more, problem, older } = useHistory(handle)
  const [busy, setBusy] = useState(false)
  const readOlder = async () => {
    setBusy(true)
    await older()
    setBusy(false)
  }
  return (
    <section id="history" className="card history" aria-labelledby="history-title">
      <header>
        <h2 id="history-title">History</h2>
        <button type="button" className="plain" aria-label="Close the history" onClick={close}>
          ✕
        </button>
      </header>
      <p role="status" className="soft">
        {problem || (!versions && "The history is being read…")}
      </p>
      <ol>
        {versions?.map((version, index) => (
          <li key={version.position}>
            <button
              type="button"
              className="plain"
              aria-current={chosen?.position === version.position}
              onClick={() => choose(version)}
            >
              <Said version={version} users={users} newest={index === 0} />
            </button>
          </li>
        ))}
      </ol>
      {more && (
        <button type="button" disabled={busy} onClick={() => void readOlder()}>
          Older versions
        </button>
      )}
    </section>
  )
}

function Said({ version, users, newest }: { version: Version; users: readonly Member[]; newest: boolean }) {
  const authors = useAuthors(version.userIds, users)
  const { changes, ended, message } = version
  const what = message ?? (changes === 1 ? "1 change" : `${changes} changes`)
  return (
    <>
      <time dateTime={ended}>{shortTime(new Date(ended))}</time>
      {newest && <span className="badge">Newest</span>}
      <span className="soft">
        {authors}: {what}
      </span>
    </>
  )
}

/** Names for user ids: the log has no names, but who is here does. */
export function useAuthors(userIds: readonly string[], users: readonly Member[]): string {
  const { me } = useWorkspace()
  const name = (userId: string) => {
    if (userId === me.userId) return "You"
    if (userId === "api") return "A program"
    if (userId === "import") return "An imported file"
    return users.find((user) => user.userId === userId)?.username ?? userId
  }
  return list.format(userIds.map(name))
}

const list = new Intl.ListFormat("en")
