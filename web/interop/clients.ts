// Stock automerge-repo clients, and waiting until they agree.

import * as repo25 from "@automerge/automerge-repo"
import type { AutomergeUrl, Doc, DocHandle, PeerId, Repo, UrlHeads } from "@automerge/automerge-repo"
import * as repo20 from "automerge-repo-2-0"
import { token } from "./atrium.ts"
import type { MemoryStorage } from "./storage.ts"
import { Adapter, OldAdapter, type Tap, type TappedAdapter } from "./tap.ts"
import { until, within } from "./wait.ts"

/** What the clients of these suites write into their documents. */
export interface Shape {
  text: string
  map: Record<string, string | number | boolean>
  list: (string | number)[]
  count: repo25.Counter
}

/** The release of automerge-repo a client runs, with the Automerge that belongs to it. */
export type Release = "2.5" | "2.0"

export interface ClientOptions {
  release?: Release
  storage?: MemoryStorage
  peerId?: string
  /** A token other than one that may write every document. */
  token?: string
  /** Milliseconds between two tries to connect; stock clients wait 5,000. */
  retry?: number
}

const open = new Set<Client>()
let made = 0

/** A stock client of the user `name`. `at` is a server or a proxy before one. */
export function dial(at: { url: string }, name: string, options: ClientOptions = {}): Client {
  const client = new Client(at.url, name, options)
  open.add(client)
  return client
}

/** Ends every client that is still there. */
export function hangUpAll(): void {
  for (const client of [...open]) client.hangUp()
}

export class Client {
  readonly repo: Repo
  readonly tap: Tap
  readonly storage: MemoryStorage | undefined
  /** The functions of the release's own Automerge. */
  readonly lib: Pick<typeof repo25, "Counter" | "splice" | "updateText" | "mark" | "unmark" | "decodeHeads">
  readonly #adapter: TappedAdapter

  constructor(
    url: string,
    readonly name: string,
    readonly options: ClientOptions,
  ) {
    const { release = "2.5", storage, retry = 300 } = options
    const address = `${url}?token=${options.token ?? token({ sub: name })}`
    this.#adapter = release === "2.5" ? new Adapter(address, retry) : new OldAdapter(address, retry)
    this.tap = this.#adapter.tap
    this.storage = storage
    this.lib = release === "2.5" ? repo25 : (repo20 as unknown as typeof repo25)
    const peerId = (options.peerId ?? `${name}-${++made}`) as PeerId
    const config = { network: [this.#adapter], peerId, ...(storage && { storage }) }
    this.repo = release === "2.5" ? new repo25.Repo(config) : (new repo20.Repo(config as never) as unknown as Repo)
  }

  async find<T = Shape>(url: AutomergeUrl, ms = 20_000): Promise<DocHandle<T>> {
    return within(`${this.name} finds ${url}`, this.repo.find<T>(url), ms)
  }

  /** What this client has of the document, in hex and in order; empty if nothing yet. */
  heads(url: AutomergeUrl): string[] {
    const handle = this.repo.handles[idOf(url)]
    if (!handle?.isReady()) return []
    return this.lib.decodeHeads(handle.heads() as UrlHeads).sort()
  }

  get connected(): boolean {
    return this.repo.peers.length > 0
  }

  /** Closes the socket and forgets the client, as closing its tab would. */
  hangUp(): void {
    open.delete(this)
    this.#adapter.disconnect()
  }
}

export function idOf(url: AutomergeUrl): repo25.DocumentId {
  return repo25.parseAutomergeUrl(url).documentId
}

/** A new document with something of everything in it. */
export function createDocument(client: Client): DocHandle<Shape> {
  return client.repo.create<Shape>({ text: "", map: {}, list: [], count: new client.lib.Counter(0) })
}

/** Asks for the document and waits until it is there, be it unavailable at first. */
export async function arrives<T = Shape>(client: Client, url: AutomergeUrl): Promise<DocHandle<T>> {
  const handle = await client.repo.find<T>(url, { allowableStates: ["ready", "unavailable"] })
  await until(`${client.name} gets ${url}`, () => handle.isReady(), 15_000)
  return handle
}

/** Waits until all of the clients have the same heads, not none, and returns these. */
export async function converged(clients: Client[], url: AutomergeUrl, ms = 15_000): Promise<string[]> {
  const told = () => clients.map((client) => `${client.name} (${client.options.release ?? "2.5"}): ${client.heads(url).join(" ") || "nothing"}`).join("\n")
  return until(
    () => `equal heads\n${told()}`,
    () => {
      const [first, ...others] = clients.map((client) => client.heads(url))
      const same = first!.length > 0 && others.every((heads) => heads.join() === first!.join())
      return same && first
    },
    ms,
  )
}

/** Waits until the server has told each client exactly these heads: what they wrote is stored. */
export async function acknowledged(clients: Client[], url: AutomergeUrl, heads: string[], ms = 15_000): Promise<void> {
  await until(
    () => `the server tells ${heads.join(" ")}`,
    () => clients.every((client) => heads.every((head) => client.tap.heads(idOf(url)).has(head))),
    ms,
  )
}

/** Waits until no sync message has passed for `quiet` milliseconds. */
export async function silent(clients: Client[], quiet = 500, ms = 5_000): Promise<void> {
  const total = () => clients.reduce((sum, client) => sum + client.tap.messages, 0)
  const before = total()
  await until(
    () => `${quiet} ms of silence; ${total() - before} sync messages went on`,
    () => performance.now() - Math.max(...clients.map((client) => client.tap.lastAt)) >= quiet,
    ms,
  )
}

/** The document's plain content, for comparing across releases. */
export function content(handle: DocHandle<Shape>): unknown {
  return JSON.parse(JSON.stringify(handle.doc() as Doc<Shape>))
}
