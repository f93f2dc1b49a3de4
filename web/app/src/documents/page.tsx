import { useWorkspace } from "../workspace.ts"
import type { Content } from "./content.ts"
import { useDocumentState, useHandle } from "./handle.ts"
import { useDeleted } from "./deleted.ts"
import { Sheet } from "./sheet.tsx"
import { useTitle } from "../shell/title.ts"

/** A document, or why it cannot be seen. */
export function DocumentPage({ documentId }: { documentId: string }) {
  const found = useHandle<Content>(documentId)
  const { status } = useDocumentState(documentId)
  const deleted = useDeleted(documentId, status)
  if (status === "forbidden") return <Notice title="No access">This document is not for you.</Notice>
  switch (found.state) {
    case "ready":
      return <Sheet handle={found.handle} deleted={deleted} />
    case "loading":
      return <p role="status" className="visually-hidden">The document is being opened.</p>
    case "absent":
      if (deleted) return <Notice title="Deleted">This document has been deleted.</Notice>
      return <Notice title="Not here yet">This document is not here yet; it opens as soon as it is.</Notice>
    case "broken":
      return <Notice title="No document">There is no such document, or no more.</Notice>
  }
}

function Notice({ title, children }: { title: string; children: string }) {
  const { me } = useWorkspace()
  useTitle(title)
  return (
    <div className="document-notice">
      <p role="status">{children}</p>
      <p className="soft">You are signed in as {me.name}.</p>
    </div>
  )
}
