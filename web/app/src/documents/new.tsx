import { type DocHandle, generateAutomergeUrl, isValidDocumentId, parseAutomergeUrl } from "@automerge/automerge-repo"
import { type FormEvent, useState } from "react"
import { useLocation } from "wouter"
import { useWorkspace } from "../workspace.ts"
import { add, type Catalog, catalogId } from "./catalog.ts"
import { granted } from "./grants.ts"
import type { Content } from "./content.ts"

/** Makes a document, for whoever may write what nobody has named before. */
export function NewDocument({ catalog }: { catalog: DocHandle<Catalog> | undefined }) {
  const { me, repo } = useWorkspace()
  const [, go] = useLocation()
  const [anyId] = useState(() => parseAutomergeUrl(generateAutomergeUrl()).documentId)
  if (granted(me.docs, anyId) !== "write") return null
  const make = () => {
    const { documentId } = repo.create<Content>({ title: "", text: "" })
    if (catalog && granted(me.docs, catalogId) === "write") add(catalog, documentId, "", me.name)
    go(`/d/${documentId}`)
  }
  return (
    <button type="button" className="primary" onClick={make}>
      New document
    </button>
  )
}

export function OpenByLink() {
  const [, go] = useLocation()
  const [problem, setProblem] = useState("")
  const open = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const link = String(new FormData(event.currentTarget).get("link")).trim()
    const id = link.replace(/[?#].*$/, "").replace(/^.*[/:]/, "")
    if (isValidDocumentId(id)) go(`/d/${id}`)
    else setProblem("This is no link to a document.")
  }
  return (
    <form onSubmit={open}>
      <label htmlFor="link" className="visually-hidden">
        Link to a document
      </label>
      <input id="link" name="link" required placeholder="Open a link…" autoComplete="off" onChange={() => setProblem("")} />
      <button type="submit">Open</button>
      <p role="alert" className="problem">
        {problem}
      </p>
    </form>
  )
}
