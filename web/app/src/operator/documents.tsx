import { Link } from "wouter"
import { bytes, count } from "../dashboard/units.ts"
import { Ago } from "../shell/ago.tsx"
import { usePage, usePaging } from "./pages.ts"
import { Table } from "./table.tsx"

interface Stored {
  documentId: string
  changes: number
  bytes: number
  updatedAt: string
  quarantined?: boolean
  open: { node?: string; sessions: number }[]
}

const limit = 50

/** The documents of the store, how large they are, and where they are open. */
export function Documents() {
  const { after, next, back } = usePaging()
  const query = new URLSearchParams({ limit: String(limit), ...(after && { after }) })
  const { items, more, missing, problem } = usePage<Stored>(`api/v1/documents?${query}`)
  const last = items?.at(-1)
  return (
    <Table
      caption="Documents"
      columns={["Document", "Size", "Changes", "Changed", "Open in"]}
      count={items?.length}
      missing={missing}
      problem={problem}
      back={back}
      next={more && last ? () => next(last.documentId) : undefined}
    >
      {items?.map((document) => (
        <tr key={document.documentId}>
          <th scope="row">
            <Link href={`/d/${document.documentId}`} className="id">
              {document.documentId}
            </Link>
            {document.quarantined && <span className="problem"> its content cannot be read</span>}
          </th>
          <td className="number">{bytes(document.bytes)}</td>
          <td className="number">{count(document.changes)}</td>
          <td>
            <Ago time={document.updatedAt} />
          </td>
          <td>{document.open.map(where).join(", ") || "–"}</td>
        </tr>
      ))}
    </Table>
  )
}

/** How many sessions have it open, and on which node if there are several. */
function where({ node, sessions }: Stored["open"][number]): string {
  return `${sessions} ${sessions === 1 ? "session" : "sessions"}${node ? ` on ${node.slice(0, 8)}` : ""}`
}
