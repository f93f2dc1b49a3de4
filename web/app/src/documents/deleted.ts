import type { DocumentState } from "atrium-client"
import { useAtrium } from "atrium-client/react"
import { useEffect, useState } from "react"

/** A document that was made a moment ago is missing, too. */
const patience = 2_000

/** Whether a document was deleted for everyone; this browser may still have it. */
export function useDeleted(documentId: string, status: DocumentState["status"]): boolean {
  const client = useAtrium()
  const [deleted, setDeleted] = useState(false)
  useEffect(() => {
    if (status !== "missing") return
    const ask = async () => {
      const answer = await client.fetch(`api/v1/documents/${documentId}`)
      if (answer.status === 410) setDeleted(true)
    }
    const timer = setTimeout(() => void ask().catch(() => {}), patience) // offline: it is asked with the next connection
    return () => clearTimeout(timer)
  }, [client, documentId, status])
  return deleted
}
