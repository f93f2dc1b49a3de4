import { useDeferredValue, useState } from "react"
import { Link } from "wouter"
import { bytes } from "../dashboard/units.ts"
import { Ago } from "../shell/ago.tsx"
import { type Act, ActDialog } from "./act.tsx"
import { usePage, usePaging } from "./pages.ts"
import { Table } from "./table.tsx"

interface Session {
  sessionId: string
  senderId: string
  userId: string
  username: string
  connectedAt: string
  node?: string
  queuedBytes: number
  documents: string[]
  documentCount: number
  remoteAddress?: string
}

const limit = 50
const documentsShown = 3

/** Who is connected, to which node, and what for. */
export function Sessions() {
  const [user, setUser] = useState("")
  const userId = useDeferredValue(user.trim())
  const { after, next, back, restart } = usePaging()
  const query = new URLSearchParams({ limit: String(limit), ...(after && { after }), ...(userId && { userId }) })
  const { items, more, missing, problem, look } = usePage<Session>(`api/v1/sessions?${query}`)
  const [act, setAct] = useState<Act>()
  const last = items?.at(-1)

  return (
    <>
      <Table
        caption="Sessions"
        columns={["User", "Node", "Since", "From", "Queue", "Documents", ""]}
        count={items?.length}
        missing={missing}
        problem={problem}
        back={back}
        next={more && last ? () => next(last.sessionId) : undefined}
        tools={
          <label className="filter">
            User id{" "}
            <input
              type="search"
              value={user}
              onChange={({ target }) => {
                setUser(target.value)
                restart()
              }}
            />
          </label>
        }
      >
        {items?.map((session) => (
          <tr key={session.sessionId}>
            <th scope="row" title={`${session.userId}, ${session.senderId}`}>
              {session.username || session.userId}
              {session.username !== session.userId && <span className="soft"> {session.userId}</span>}
            </th>
            <td title={session.node}>{session.node?.slice(0, 8) ?? "–"}</td>
            <td>
              <Ago time={session.connectedAt} />
            </td>
            <td>{session.remoteAddress ?? "–"}</td>
            <td className="number">{bytes(session.queuedBytes)}</td>
            <td>
              <Open session={session} />
            </td>
            <td className="actions">
              <button type="button" onClick={() => setAct({ kind: "disconnect", ...session })}>
                Disconnect…
              </button>
              <button type="button" onClick={() => setAct({ kind: "revoke", ...session })}>
                Revoke…
              </button>
            </td>
          </tr>
        ))}
      </Table>
      {act && (
        <ActDialog
          act={act}
          close={() => {
            setAct(undefined)
            look()
          }}
        />
      )}
    </>
  )
}

function Open({ session: { documents, documentCount } }: { session: Session }) {
  const shown = documents.slice(0, documentsShown)
  if (documentCount === 0) return <>–</>
  return (
    <>
      {shown.map((id) => (
        <Link key={id} href={`/d/${id}`} title={id} className="id">
          {id.slice(0, 6)}
        </Link>
      ))}
      {documentCount > shown.length && <span className="soft"> and {documentCount - shown.length} more</span>}
    </>
  )
}
