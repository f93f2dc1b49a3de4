import { useTitle } from "../shell/title.ts"
import { useWorkspace } from "../workspace.ts"
import { Documents } from "./documents.tsx"
import { Sessions } from "./sessions.tsx"
import "./operator.css"

/** Who is connected, and which documents there are; for tokens with `admin`. */
export function Operator() {
  const { me } = useWorkspace()
  useTitle("Operator")
  return (
    <div className="operator">
      <h1>Operator</h1>
      {me.admin ? (
        <>
          <Sessions />
          <Documents />
        </>
      ) : (
        <p className="notice">This page is for operators.</p>
      )}
    </div>
  )
}
