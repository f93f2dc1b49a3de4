import { AtriumProvider } from "atrium-client/react"
import { useCallback, useEffect, useState } from "react"
import { Route, Switch } from "wouter"
import { Chat } from "./chat/chat.tsx"
import { Dashboard } from "./dashboard/dashboard.tsx"
import { DocumentList } from "./documents/list.tsx"
import { DocumentPage } from "./documents/page.tsx"
import { Operator } from "./operator/operator.tsx"
import { Session } from "./session.ts"
import { Header } from "./shell/header.tsx"
import { SignIn } from "./shell/sign-in.tsx"
import { openWorkspace, type Workspace, WorkspaceProvider } from "./workspace.ts"

/** Everything: signing in, then the pages. */
export function App() {
  // undefined while it is not known who is here.
  const [workspace, setWorkspace] = useState<Workspace | null>()
  const [ended, setEnded] = useState("")
  const enter = useCallback(async (session: Session) => {
    setEnded("")
    setWorkspace(await openWorkspace(session))
  }, [])

  useEffect(() => {
    void Session.kept().then((session) => (session ? enter(session) : setWorkspace(null)))
  }, [enter])

  useEffect(() => {
    if (!workspace) return
    const { client } = workspace
    const look = () => {
      if (client.state !== "refused") return
      Session.forget()
      client.close()
      setEnded(client.refusal!.message)
      setWorkspace(null)
    }
    client.on("state", look)
    return () => void client.off("state", look)
  }, [workspace])

  if (workspace === undefined) return <main className="loading" aria-busy="true" />
  if (workspace === null) return <SignIn ended={ended} enter={enter} />
  return (
    <WorkspaceProvider value={workspace}>
      <AtriumProvider client={workspace.client}>
        <Pages />
      </AtriumProvider>
    </WorkspaceProvider>
  )
}

function Pages() {
  return (
    <div className="shell">
      <Header />
      <Switch>
        <Route path="/">
          <Page room="lobby">
            <DocumentList />
          </Page>
        </Route>
        <Route path="/d/:documentId">
          {({ documentId }) => (
            <Page room={`document-${documentId}`}>
              <DocumentPage key={documentId} documentId={documentId} />
            </Page>
          )}
        </Route>
        <Route path="/dashboard">
          <Page>
            <Dashboard />
          </Page>
        </Route>
        <Route path="/operator">
          <Page>
            <Operator />
          </Page>
        </Route>
        <Route>
          <Page>
            <p className="notice">There is no such page.</p>
          </Page>
        </Route>
      </Switch>
    </div>
  )
}

/** A page, with the chat of its room beside it if it has one. */
function Page({ room, children }: { room?: string; children: React.ReactNode }) {
  return (
    <div className="page">
      <main id="content" tabIndex={-1}>
        {children}
      </main>
      {room && <Chat key={room} roomId={room} />}
    </div>
  )
}
