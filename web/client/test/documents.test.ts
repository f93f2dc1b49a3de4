// Documents over the same connection: automerge-repo, who is here, and what is saved.

import { spawn } from "node:child_process"
import { once } from "node:events"
import { type DocHandle, Repo } from "@automerge/automerge-repo"
import type { Client } from "atrium-client"
import { expect, test } from "vitest"
import { useAtrium } from "../../interop/fixture.ts"
import { proxy } from "../../interop/proxy.ts"
import { until } from "../../interop/wait.ts"
import { dial, everything } from "./clients.ts"

const atrium = useAtrium()

interface Note {
  text: string
  list: number[]
}

const repoOf = (client: Client) => new Repo({ network: [client.repoAdapter()] })
const create = (client: Client) => repoOf(client).create<Note>({ text: "", list: [] })
const push = (handle: DocHandle<Note>, n: number) => handle.change((note) => void note.list.push(n))

test("two repos share a document and what is broadcast in it, beside all else", async () => {
  const [alice, bob] = [dial(atrium, "alice"), dial(atrium, "bob")]
  const mine = create(alice)
  push(mine, 1)
  const theirs = await repoOf(bob).find<Note>(mine.url)
  expect(theirs.doc().list).toEqual([1])
  push(theirs, 2)
  await until("Alice has it", () => mine.doc().list.length === 2)

  const heard: [string, unknown][] = []
  theirs.on("ephemeral-message", ({ senderId, message }) => heard.push([senderId, message]))
  await until("the cursor", () => {
    mine.broadcast({ at: 7 })
    return heard.length > 0
  })
  expect(heard[0]![0]).toMatch(/^alice\//)
  expect(heard[0]![1]).toEqual({ at: 7 })
  const room = alice.chat.room("beside")
  room.subscribe(() => {})
  await room.send("on the same connection")
})

test("saved is said of what is on disk, and of nothing else", async () => {
  const network = await proxy(atrium.port)
  const alice = dial(network, "alice")
  const handle = create(alice)
  const saved = alice.documents.saved(handle)
  const states: string[] = []
  saved.subscribe(() => states.push(saved.value))
  await until("on disk", () => saved.value === "disk")
  push(handle, 1)
  expect(saved.value).toBe("local")
  await until("on disk again", () => saved.value === "disk")

  network.refuse()
  await until("offline", () => alice.state === "offline")
  push(handle, 2)
  expect(saved.value).toBe("local")
  await network.allow()
  await until("on disk again", () => saved.value === "disk")
  const [documentId, list] = [handle.documentId, handle.doc().list]
  await atrium.kill9()
  await atrium.start()
  expect(await (await dial(atrium, "bob").fetch(`api/v1/documents/${documentId}`)).json()).toMatchObject({ list })
  network.refuse()
})

test("received is said while the disk is slow", async () => {
  const alice = dial(atrium, "alice")
  const handle = create(alice)
  const saved = alice.documents.saved(handle)
  saved.subscribe(() => {})
  await until("on disk", () => saved.value === "disk")
  const release = await holdDatabase()
  push(handle, 1)
  await until("received", () => saved.value === "received", 5_000)
  release()
  await until("on disk again", () => saved.value === "disk", 15_000)
})

test("who is here, and where", async () => {
  const [alice, bob] = [dial(atrium, "alice"), dial(atrium, "bob")]
  const handle = create(alice)
  push(handle, 1)
  const [mine, theirs] = [alice.documents.open(handle.url), bob.documents.open(handle.documentId)]
  mine.subscribe(() => {})
  const leave = theirs.subscribe(() => {})
  await until("both are here", () => mine.value.users.length === 2 && theirs.value.users.length === 2)
  expect(theirs.value).toMatchObject({ status: "joined", access: "write" })
  for (let i = 0; i <= 20; i++) mine.move({ x: i, y: 2 * i, cursor: { anchor: i } })
  await until("Bob sees where Alice is", () => [...theirs.value.cursors.values()][0]?.x === 20)
  expect([...theirs.value.cursors.values()]).toMatchObject([{ userId: "alice", username: "Alice", x: 20, y: 40, cursor: { anchor: 20 } }])
  expect(mine.value.cursors.size).toBe(0)
  mine.move(undefined)
  await until("it is gone", () => theirs.value.cursors.size === 0)
  leave()
  await until("Bob has left", () => mine.value.users.length === 1)
})

test("cursors and people come back after a reconnect", async () => {
  const network = await proxy(atrium.port)
  const [alice, bob] = [dial(network, "alice"), dial(atrium, "bob")]
  const handle = create(alice)
  const [mine, theirs] = [alice.documents.open(handle.url), bob.documents.open(handle.url)]
  mine.subscribe(() => {})
  theirs.subscribe(() => {})
  mine.move({ x: 1 })
  await until("Bob sees it", () => [...theirs.value.cursors.values()][0]?.x === 1)
  network.refuse()
  await until("she is gone", () => theirs.value.cursors.size === 0 && theirs.value.users.length === 1)
  await network.allow()
  await until("she is back where she was", () => [...theirs.value.cursors.values()][0]?.x === 1)
  network.refuse()
})

test("a document that is not here yet is joined once it is; one that is not granted is forbidden", async () => {
  const repo = repoOf(dial(atrium, "alice", { getToken: async () => (await gate, everything("alice")) }))
  let open!: () => void
  const gate = new Promise<void>((resolve) => (open = resolve))
  const handle = repo.create<Note>({ text: "", list: [] })
  const early = dial(atrium, "bob").documents.open(handle.documentId)
  early.subscribe(() => {})
  await until("it is missing", () => early.value.status === "missing")
  open()
  await until("it is joined", () => early.value.status === "joined")
  const stranger = dial(atrium, "stranger", { getToken: () => everything("stranger", { docs: {} }) }).documents.open(handle.documentId)
  stranger.subscribe(() => {})
  await until("it is forbidden", () => stranger.value.status === "forbidden")
})

/** Holds the write lock of the server's database, as a backup may, until the returned function is called. */
async function holdDatabase(): Promise<() => void> {
  const { stdin, stdout } = spawn("sqlite3", [`${atrium.dataDir}/atrium.db`], { stdio: ["pipe", "pipe", "inherit"] })
  stdin.write("BEGIN IMMEDIATE; SELECT 'held';\n")
  await once(stdout, "data")
  return () => stdin.end("ROLLBACK;\n")
}

test("what is on disk stays there while others write", async () => {
  const alice = dial(atrium, "alice")
  const mine = create(alice)
  const saved = alice.documents.saved(mine)
  saved.subscribe(() => {})
  await until("on disk", () => saved.value === "disk")
  const theirs = await repoOf(dial(atrium, "bob")).find<Note>(mine.url)
  const states: string[] = []
  saved.subscribe(() => states.push(saved.value))
  for (let n = 1; n <= 5; n++) {
    push(theirs, n)
    await until("it comes", () => mine.doc().list.length === n)
  }
  await until("on disk", () => saved.value === "disk")
  expect(states).toEqual([])
})
