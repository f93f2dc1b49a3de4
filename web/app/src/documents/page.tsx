export function DocumentPage({ documentId }: { documentId: string }) {
  return <p>{documentId}</p>
}
