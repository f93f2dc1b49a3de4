// Documents as a backend has them: by HTTP, with an API key.

import * as A from "@automerge/automerge"
import type { AutomergeUrl } from "@automerge/automerge-repo"
import { expect } from "vitest"
import { apiKey, type Atrium } from "./atrium.ts"
import { arrives, type Client, converged, dial, idOf, type Release } from "./clients.ts"
import { chunkTypes } from "./tap.ts"
import { until } from "./wait.ts"

export const automergeType = "application/vnd.automerge"

export interface Answer {
  status: number
  headers: Headers
  bytes: Uint8Array
  /** The body as JSON, where it is. */
  json: any
}

/** A change as the history has it. */
export interface ChangeRecord {
  position: number
  hash: string
  deps: string[]
  actor: string
  userId: string
  message?: string
}

export interface CallOptions {
  body?: unknown
  type?: string
  accept?: string
  /** A token instead of the API key. */
  token?: string
  query?: Record<string, string>
}

/** Calls under /api/v1/documents of one server. */
export class Documents {
  constructor(private readonly atrium: Atrium) {}

  async call(method: string, path: string, { body, type = "application/json", accept, token, query }: CallOptions = {}): Promise<Answer> {
    const response = await fetch(`${this.atrium.http}/api/v1/documents${path}?${new URLSearchParams(query)}`, {
      method,
      headers: {
        authorization: `Bearer ${token ?? apiKey}`,
        ...(body !== undefined && { "content-type": type }),
        ...(accept && { accept }),
      },
      ...(body !== undefined && { body: body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    })
    const bytes = new Uint8Array(await response.arrayBuffer())
    const isJSON = /json/.test(response.headers.get("content-type") ?? "")
    return { status: response.status, headers: response.headers, bytes, json: isJSON ? JSON.parse(Buffer.from(bytes).toString()) : undefined }
  }

  /** A call that must succeed. */
  async do(method: string, path: string, options?: CallOptions): Promise<Answer> {
    const answer = await this.call(method, path, options)
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${Buffer.from(answer.bytes).toString()}`)
    return answer
  }

  /** Makes a document. */
  async create(content: unknown): Promise<AutomergeUrl> {
    return (await this.do("POST", "", { body: { content } })).json.url
  }

  /** The content as JSON, with the heads in the order in which clients give them here. */
  async read(url: AutomergeUrl, heads?: string[]): Promise<{ content: any; heads: string[] }> {
    const answer = await this.do("GET", `/${url}`, { query: heads && { heads: heads.join() } })
    return { content: answer.json, heads: headsOf(answer) }
  }

  /** The document as Automerge stores it. */
  async file(url: AutomergeUrl): Promise<{ bytes: Uint8Array; heads: string[] }> {
    const answer = await this.do("GET", `/${url}`, { accept: automergeType })
    expect(answer.headers.get("content-type")).toBe(automergeType)
    return { bytes: answer.bytes, heads: headsOf(answer) }
  }

  merge(url: AutomergeUrl, patch: unknown, options: CallOptions = {}): Promise<Answer> {
    return this.do("PATCH", `/${url}`, { body: patch, type: "application/merge-patch+json", ...options })
  }

  patch(url: AutomergeUrl, ops: unknown[], options: CallOptions = {}): Promise<Answer> {
    return this.do("PATCH", `/${url}`, { body: ops, type: "application/json-patch+json", ...options })
  }

  restore(url: AutomergeUrl, heads: string[]): Promise<Answer> {
    return this.do("POST", `/${url}/restore`, { body: { heads } })
  }

  import(url: AutomergeUrl, file: Uint8Array): Promise<Answer> {
    return this.do("POST", `/${url}/import`, { body: file, type: automergeType })
  }

  /** All changes, the oldest first. */
  async history(url: AutomergeUrl): Promise<ChangeRecord[]> {
    const all: ChangeRecord[] = []
    for (;;) {
      const before = all[0] && { before: `${all[0].position}` }
      const page = await this.do("GET", `/${url}/history`, { query: { limit: "300", ...before } })
      all.unshift(...page.json.changes.reverse())
      if (!page.json.more) return all
    }
  }

  /** Waits until the document has a snapshot that stands for all of it. */
  async snapshotted(url: AutomergeUrl): Promise<void> {
    await until("a snapshot stands", async () => `${chunkTypes((await this.file(url)).bytes)}` === "0", 20_000)
  }

  /**
   * Wants all ways to the document to lead to the same: JSON, the file, and a
   * fresh client of each release. Returns the chunk types that those were sent.
   */
  async agree(url: AutomergeUrl, releases: Release[] = ["2.5", "2.0"]): Promise<Record<string, number[]>> {
    const { content, heads } = await this.read(url)
    const file = await this.file(url)
    const loaded = A.load<object>(file.bytes)
    expect(A.getHeads(loaded).sort()).toEqual(heads)
    expect(file.heads).toEqual(heads)
    expect(plain(loaded)).toEqual(content)
    const sent: Record<string, number[]> = {}
    for (const release of releases) {
      const fresh = dial(this.atrium, `fresh-${release}`, { release })
      const found = await arrives<object>(fresh, url) // that has not connected for a second says unavailable by itself
      await until(
        () => `${release} has ${heads}, not ${fresh.heads(url)}`,
        () => `${fresh.heads(url)}` === `${heads}`,
      )
      expect(plain(found.doc()), `what ${release} has`).toEqual(content)
      expect(fresh.tap.unavailable.get(idOf(url)), "how often it was unavailable").toBeUndefined()
      sent[release] = fresh.tap.chunks.get(idOf(url))!
      fresh.hangUp()
    }
    return sent
  }
}

/** The heads that an ETag tells. */
function headsOf(answer: Answer): string[] {
  return JSON.parse(answer.headers.get("etag")!).split(",").sort()
}

/** Waits until clients and server have the same heads, and wants the same content of them. */
export async function settled(documents: Documents, clients: Client[], url: AutomergeUrl): Promise<any> {
  const handles = await Promise.all(clients.map((client) => arrives<object>(client, url)))
  await until(
    () => `the server and ${clients.map((client) => client.name)} have the same heads`,
    async () => {
      const heads = `${await converged(clients, url)}`
      return `${(await documents.read(url)).heads}` === heads
    },
    20_000,
  )
  const { content } = await documents.read(url)
  handles.forEach((handle, i) => expect(plain(handle.doc()), `what ${clients[i]!.name} has`).toEqual(content))
  return content
}

/** A document as Atrium gives it as JSON: dates in ISO 8601, bytes in base64, counters as numbers, and null where JSON has no number. */
export function plain(value: unknown): any {
  if (typeof value === "number") return Number.isFinite(value) ? value + 0 : null
  if (typeof value === "bigint") return Number(value) // of a Uint, be it small
  if (value === null || typeof value !== "object") return value
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64")
  if (Array.isArray(value)) return value.map(plain)
  // By their shapes: each release has classes of its own.
  if (value.constructor?.name === "Counter") return (value as A.Counter).value
  if (/^(Immutable|Raw)String$/.test(value.constructor?.name ?? "")) return (value as A.ImmutableString).val
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, plain(child)]))
}
