// @vitest-environment happy-dom

// The hooks, in components that are rendered.

import { type DocHandle, Repo } from "@automerge/automerge-repo"
import type { Client } from "atrium-client"
import {
  AtriumProvider, useAtrium, useConnection, useCursors, useMetric, useMetrics, useNotifications, usePresence, useRoom, useSaved, useTyping,
} from "atrium-client/react"
import { type ReactNode, StrictMode } from "react"
import { createRoot, type Root } from "react-dom/client"
import { afterEach, expect, test } from "vitest"
import { useAtrium as useServer } from "../../interop/fixture.ts"
import { until } from "../../interop/wait.ts"
import { call, dial } from "./clients.ts"

const atrium = useServer()
const roots: Root[] = []
afterEach(() => roots.splice(0).forEach((root) => root.unmount()))

/** Renders for a client. */
function render(client: Client, node: ReactNode): HTMLElement {
  const element = document.createElement("div")
  const root = createRoot(element)
  roots.push(root)
  root.render(<StrictMode><AtriumProvider client={client}>{node}</AtriumProvider></StrictMode>)
  return element
}

/** Waits until it shows something. */
const shows = (page: HTMLElement, text: string) =>
  until(() => `${JSON.stringify(text)}, not ${JSON.stringify(page.textContent)}`, () => page.textContent === text)

test("useAtrium and useConnection", async () => {
  const Who = () => {
    const client = useAtrium()
    return <>{useConnection()} {client.user?.name}</>
  }
  const page = render(dial(atrium, "alice"), <Who />)
  await shows(page, "online Alice")
  await atrium.kill9()
  await shows(page, "offline Alice")
  await atrium.start()
  await shows(page, "online Alice")
})

test("useRoom and useTyping", async () => {
  let rendered = 0
  const Room = () => {
    const { messages, memberCount, unread } = useRoom("hooks")
    rendered++
    return <>{memberCount}: {messages.map(({ content }) => content).join(" ")} ({unread})</>
  }
  const Typists = () => {
    const { typists } = useTyping("hooks")
    return <> {typists.map(({ username }) => username)}</>
  }
  const alice = dial(atrium, "alice")
  const page = render(alice, <><Room /><Typists /></>)
  await shows(page, "1:  (0) ")
  const bob = dial(atrium, "bob").chat.room("hooks")
  bob.subscribe(() => {})
  await bob.send("hello")
  await shows(page, "2: hello (1) ")
  const before = rendered
  bob.typing()
  await shows(page, "2: hello (1) Bob")
  expect(rendered - before).toBeLessThanOrEqual(4)
  alice.chat.room("hooks").read()
  await shows(page, "2: hello (0) Bob")
})

test("usePresence", async () => {
  const Statuses = ({ of }: { of: string[] }) => <>{[...usePresence(of).values()].map(({ userId, status }) => `${userId} ${status};`)}</>
  const watcher = dial(atrium, "watcher")
  const page = render(watcher, <Statuses of={["zoe", "adam"]} />)
  await shows(page, "adam offline;zoe offline;")
  const zoe = dial(atrium, "zoe")
  await shows(page, "adam offline;zoe online;")
  await zoe.presence.set("away")
  await shows(page, "adam offline;zoe away;")
})

test("useNotifications", async () => {
  const Inbox = () => {
    const { notifications, unread, markRead } = useNotifications()
    return <button onClick={() => void markRead("all")}>{unread} of {notifications.map(({ title }) => title).join()}</button>
  }
  const page = render(dial(atrium, "ivy"), <Inbox />)
  await call(atrium, "POST", "users/ivy/notifications", { kind: "x", title: "ring" })
  await shows(page, "1 of ring")
  page.querySelector("button")!.click()
  await shows(page, "0 of ring")
})

test("useMetric and useMetrics", async () => {
  const One = () => <>{JSON.stringify(useMetric("hooks.one")?.value)} </>
  const All = () => <>{[...useMetrics("hooks.").values()].map(({ metric, value }) => `${metric}=${value};`)}</>
  const page = render(dial(atrium, "alice"), <><One /><All /></>)
  await call(atrium, "PUT", "metrics/hooks.one", { value: 1 })
  await shows(page, "1 hooks.one=1;")
  await call(atrium, "PUT", "metrics/hooks.two", { value: 2 })
  await shows(page, "1 hooks.one=1;hooks.two=2;")
})

test("useCursors and useSaved", async () => {
  const alice = dial(atrium, "alice")
  const handle = new Repo({ network: [alice.repoAdapter()] }).create<{ n: number }>({ n: 0 })
  const Page = ({ of }: { of: DocHandle<{ n: number }> }) => {
    const { users, cursors } = useCursors(of.documentId)
    const saved = useSaved(of)
    return <>{saved}: {users.map(({ username }) => username).sort().join()} {[...cursors.values()].map(({ username, x }) => `${username}@${x}`)}</>
  }
  const page = render(alice, <Page of={handle} />)
  await shows(page, "disk: Alice ")
  const bob = dial(atrium, "bob").documents.open(handle.documentId)
  const leave = bob.subscribe(() => {})
  bob.move({ x: 4 })
  await shows(page, "disk: Alice,Bob Bob@4")
  leave()
  await shows(page, "disk: Alice ")
})
