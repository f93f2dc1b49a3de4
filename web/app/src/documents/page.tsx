import { useWorkspace } from "../workspace.ts"
import { type Content, useDocumentState, useHandle } from "./handle.ts"
import { Sheet } from "./sheet.tsx"
import { useTitle } from "../shell/title.ts"

/** A document, or why it cannot be seen. */
export function DocumentPage({ documentId }: { documentId: string }) {
  const found = useHandle<Content>(documentId)
  const { status } = useDocumentState(documentId)
  if (status === "forbidden") return <Notice title="No access">This document is not for you.</Notice>
  switch (found.state) {
    case "ready":
      return <Sheet handle={found.handle} />
    case "loading":
      return <p role="status" className="visually-hidden">The document is being opened.</p>
    case "absent":
      return <Notice title="Not here yet">This document is not here yet; it opens as soon as it is.</Notice>
    case "broken":
      return <Notice title="No document">There is no such document.</Notice>
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
