// @vitest-environment happy-dom

// README.md's snippets for automerge-repo and for React, run as they stand there.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type DocHandle, Repo } from "@automerge/automerge-repo"
import { afterAll, expect, test } from "vitest"
import WebSocket from "ws"
import { useAtrium } from "../../interop/fixture.ts"
import { until } from "../../interop/wait.ts"
import { dial, everything } from "./clients.ts"

const here = import.meta.dirname
const readme = readFileSync(join(here, "../../../README.md"), "utf8")
const section = readme.split(/^## /m).find((text) => text.startsWith("Connect\n"))!
const snippets = [...section.matchAll(/^```(js|tsx)\n(.*?)^```$/gms)].map(([, kind, code]) => ({ kind: kind!, code: code! }))
const folder = mkdtempSync(join(here, ".readme-"))
afterAll(() => rmSync(folder, { recursive: true }))
const atrium = useAtrium()

/** Runs a snippet with what it takes as given, and returns what it exports. */
async function run(kind: string, given: Record<string, unknown>, also = ""): Promise<any> {
  const { code } = snippets.find((snippet) => snippet.kind === kind)!
  Object.assign(globalThis, given, { WebSocket })
  const file = join(folder, `snippet.${kind === "js" ? "mjs" : kind}`)
  writeFileSync(file, code + also)
  return import(/* @vite-ignore */ file)
}

test("a stock client renews its token, in place and for when it connects again", async () => {
  let minted = 0
  const lifetime = 3_000
  const getToken = async () => (minted++, everything("stock", { ttl: lifetime / 1_000 }))
  const { repo, adapter } = await run("js", { server: atrium.url, getToken, lifetime }, "\nexport { repo, adapter }\n")
  adapter.retryInterval = 300
  const mine: DocHandle<{ n: number }> = repo.create({ n: 0 })
  const bob = dial(atrium, "bob")
  const theirs = await until("Bob has it", () => new Repo({ network: [bob.repoAdapter()] }).find<{ n: number }>(mine.url).catch(() => undefined))
  const { socket } = adapter
  await until("three lives of a token are over", () => minted >= 7, 20_000)
  expect(adapter.socket).toBe(socket) // in place
  mine.change((doc) => void (doc.n = 1))
  await until("Bob has that", () => theirs.doc().n === 1)

  await atrium.restart()
  await until("it is another connection", () => adapter.socket !== socket && adapter.socket.readyState === 1)
  mine.change((doc) => void (doc.n = 2))
  await until("Bob has that too", () => theirs.doc().n === 2)
  repo.networkSubsystem.adapters[0].disconnect()
})

test("the React client shows what is said, and says what is typed", async () => {
  document.body.innerHTML = '<div id="root"></div>'
  const { repo } = await run("tsx", { server: atrium.url, getToken: () => everything("alice") })
  const said = () => [...document.querySelectorAll("p")].map((line) => line.textContent)
  const bob = dial(atrium, "bob")
  await bob.chat.room("lobby").send("Hello!")
  await until("Bob's words", () => said().length === 1)
  document.querySelector("input")!.value = "Hi Bob"
  document.querySelector("button")!.click()
  await until("both", () => said().length === 2)
  expect(said()).toEqual(["Bob: Hello!", "Alice: Hi Bob"])

  const handle = repo.create({ n: 1 })
  await until("the repo's document is at the server", async () => (await bob.fetch(`api/v1/documents/${handle.documentId}`)).ok)
})

test("there are two snippets besides the chat", () => expect(snippets.map(({ kind }) => kind)).toEqual(["js", "tsx"]))
