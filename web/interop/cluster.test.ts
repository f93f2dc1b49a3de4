// Three nodes on one Postgres and one Redis, behind a balancer that knows nothing of
// sessions: stock clients must not notice that they are on different ones.

import { hasHeads } from "@automerge/automerge"
import type { AutomergeUrl } from "@automerge/automerge-repo"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { Atrium, tempDir } from "./atrium.ts"
import { acknowledged, arrives, type Client, content, converged, createDocument, dial, hangUpAll, idOf, silent } from "./clients.ts"
import { edit } from "./edits.ts"
import { type Random, seeded, seeds } from "./random.ts"
import { until } from "./wait.ts"

/** Ends a server with this process, whatever becomes of it, and removes its directory. */
const supervise = `exec 3<&0; dir=$1; shift; "$@" 3<&- & pid=$!; (read _ <&3; kill -KILL $pid; rm -rf "$dir") & wait $pid`

/** A server beside the nodes, in a directory of its own. */
interface Beside {
  port: number
  process: ChildProcess
}

const beside: Beside[] = []
const nodes: Atrium[] = []
const scripts = tempDir()
let cleanUp = () => {}

beforeAll(async () => {
  const redis = process.env.ATRIUM_TEST_REDIS_URL ?? `redis://127.0.0.1:${(await startRedis()).port}`
  const database = process.env.ATRIUM_TEST_POSTGRES_URL
    ? createDatabase(process.env.ATRIUM_TEST_POSTGRES_URL)
    : `postgres://atrium@127.0.0.1:${(await startPostgres()).port}/postgres?sslmode=disable`
  // The servers of these tests get no settings but their own: a script adds these.
  const script = join(scripts, "node")
  writeFileSync(script, `#!/bin/sh\nATRIUM_DATABASE_URL='${database}' ATRIUM_REDIS_URL='${redis}' exec '${process.env.ATRIUM_BIN}' "$@"\n`)
  chmodSync(script, 0o755)
  process.env.ATRIUM_BIN = script
  for (let n = 0; n < 3; n++) nodes.push(new Atrium(tempDir()))
  await Promise.all(nodes.map((node) => node.start()))
})
afterEach(hangUpAll)
afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()))
  cleanUp()
  for (const { process } of beside) process.stdin?.end()
  rmSync(scripts, { recursive: true })
})

test("stock clients on different nodes are equal, and then silent", async () => {
  for (const seed of seeds(2)) {
    await seeded(seed, async (random) => {
      const clients = nodes.map((node, i) => dial(node, ["alice", "bob", "carol"][i]!, { release: i === 2 ? "2.0" : "2.5" }))
      const { url } = createDocument(clients[0]!)
      await Promise.all(clients.map((client) => arrives(client, url)))
      for (let n = 0; n < 60; n++) {
        const client = random.pick(clients)
        edit(client, await client.find(url), random)
        if (random.chance(0.3)) await pause(random.int(0, 40))
      }
      await same(clients, url)
      await silent(clients)
    })
  }
})

test("when a node is killed, clients go on at another, and nothing that was acknowledged is missing", async () => {
  const line = await balance(nodes)
  for (const seed of seeds(2)) {
    await seeded(seed, async (random) => {
      const clients = ["dave", "erin", "frank", "grace"].map((name, i) => dial(line, name, { release: i === 3 ? "2.0" : "2.5" }))
      const { url } = createDocument(clients[0]!)
      await Promise.all(clients.map((client) => arrives(client, url)))
      await acknowledged(clients, url, await converged(clients, url))
      const stopTyping = await type(clients, url, random)
      const victim = random.pick(nodes)
      await pause(random.int(100, 800))
      await victim.kill9()
      await pause(1_000)
      stopTyping()
      const promised = new Set(clients.flatMap((client) => [...client.tap.heads(idOf(url))]))
      await until("all clients are connected", () => clients.every((client) => client.connected))
      await same(clients, url)

      await victim.start()
      for (const node of nodes) {
        const fresh = dial(node, "fresh")
        const found = await arrives(fresh, url)
        await same([...clients, fresh], url)
        expect([...promised].filter((head) => !hasHeads(found.doc(), [head])), `of ${promised.size} acknowledged heads`).toEqual([])
        fresh.hangUp()
      }
      for (const client of clients) client.hangUp()
    })
  }
  line.end()
})

/**
 * Waits until all have the same heads, and wants the same content of them. Of the
 * older release the heads must do: where strings in a map collide it may show
 * something that is not in the document.
 */
async function same(clients: Client[], url: AutomergeUrl): Promise<void> {
  const newer = clients.filter((client) => client.options.release !== "2.0")
  const handles = await Promise.all(newer.map((client) => client.find(url)))
  await converged(clients, url)
  const contents = handles.map(content) // of the same moment
  for (const other of contents) expect(other).toEqual(contents[0])
}

/** All clients type, each at its own pace, until told to stop. */
async function type(clients: Client[], url: AutomergeUrl, random: Random): Promise<() => void> {
  const handles = await Promise.all(clients.map((client) => client.find(url)))
  const timers = clients.map((client, i) => setInterval(() => edit(client, handles[i]!, random), random.int(10, 50)))
  return () => timers.forEach(clearInterval)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** A balancer: each connection goes to the next node that takes it. */
async function balance(nodes: Atrium[]): Promise<{ url: string; end(): void }> {
  let next = 0
  const open = new Set<Socket>()
  const forward = (client: Socket, tries: number) => {
    const server = connect(nodes[next++ % nodes.length]!.port, "127.0.0.1")
    let connected = false
    server.on("connect", () => {
      connected = true
      client.pipe(server).pipe(client)
    })
    server.on("error", () => {})
    server.on("close", () => (!connected && tries > 0 ? forward(client, tries - 1) : client.destroy()))
    client.on("close", () => server.destroy())
  }
  const listener: Server = createServer((client) => {
    open.add(client)
    client.on("error", () => client.destroy())
    forward(client, nodes.length)
  })
  listener.listen(0, "127.0.0.1")
  await once(listener, "listening")
  const { port } = listener.address() as AddressInfo
  return {
    url: `ws://127.0.0.1:${port}/ws`,
    end() {
      listener.close()
      open.forEach((client) => client.destroy())
    },
  }
}

async function startRedis(): Promise<Beside> {
  const port = await freePort()
  return start(port, tempDir(), ["redis-server", "--bind", "127.0.0.1", "--port", `${port}`, "--save", "", "--appendonly", "no"])
}

async function startPostgres(): Promise<Beside> {
  const dir = tempDir()
  const port = await freePort()
  const data = join(dir, "data")
  mkdirSync(data)
  const { uid, gid } = unprivileged()
  if (uid !== undefined) for (const path of [dir, data]) chownSync(path, uid, gid!)
  const init = ["--pgdata", data, "--auth=trust", "--username=atrium", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
  execFileSync(postgres("initdb"), init, { cwd: dir, uid, gid, stdio: "ignore" })
  return start(port, dir, [postgres("postgres"), "-D", data, "-h", "127.0.0.1", "-p", `${port}`, "-k", "", "-F", "-c", "max_connections=200"], () => {
    execFileSync(postgres("pg_isready"), ["-h", "127.0.0.1", "-p", `${port}`, "-U", "atrium", "-q"])
  })
}

/** Starts a server in its directory, and waits until it answers. */
async function start(port: number, dir: string, command: string[], ready = () => {}): Promise<Beside> {
  const { uid, gid } = unprivileged()
  if (uid !== undefined) chownSync(dir, uid, gid!)
  const child = spawn("/bin/sh", ["-c", supervise, "sh", dir, ...command], { cwd: dir, uid, gid, stdio: ["pipe", "ignore", "ignore"] })
  const made = { port, process: child }
  beside.push(made)
  await until(`${command[0]} answers`, async () => {
    const socket = connect(port, "127.0.0.1")
    try {
      await once(socket, "connect")
      ready()
      return true
    } catch {
      return false
    } finally {
      socket.destroy()
    }
  }, 30_000)
  return made
}

/** Whom servers run as that refuse to be root. */
function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }))
  return { uid: id("-u"), gid: id("-g") }
}

/** One of Postgres' programs, which Debian has outside of the path. */
function postgres(program: string): string {
  const root = "/usr/lib/postgresql"
  try {
    const newest = readdirSync(root).sort((a, b) => Number(b) - Number(a))[0]
    return newest ? join(root, newest, "bin", program) : program
  } catch {
    return program
  }
}

/** Makes a database on a server that is there, and drops it in the end. */
function createDatabase(server: string): string {
  const name = `test_interop_${process.pid}_${Date.now()}`
  const sql = (statement: string) => execFileSync("psql", ["-q", "-d", server, "-c", statement])
  sql(`CREATE DATABASE ${name}`)
  cleanUp = () => sql(`DROP DATABASE ${name} WITH (FORCE)`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1")
  await once(listener, "listening")
  const { port } = listener.address() as AddressInfo
  listener.close()
  await once(listener, "close")
  return port
}
