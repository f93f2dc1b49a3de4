// Stock WebSocket client adapters that keep a record of what passes through them.

import { decodeSyncMessage } from "@automerge/automerge"
import type { Message } from "@automerge/automerge-repo"
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket"
import { WebSocketClientAdapter as OldWebSocketClientAdapter } from "automerge-repo-network-websocket-2-0"

/** What went over one client's sockets, across reconnects. */
export class Tap {
  /** Sync messages, both directions. */
  messages = 0
  /** When the last of them passed, in the time of performance.now(). */
  lastAt = 0
  /** By document, every head that the server has told. */
  readonly told = new Map<string, Set<string>>()
  /** By document, the types of the chunks that the server has sent, in order: 0 a document, 1 a change. */
  readonly chunks = new Map<string, number[]>()
  /** By document, how often the server said that it is not available. */
  readonly unavailable = new Map<string, number>()

  /** The heads that the server has told of one document. */
  heads(documentId: string): Set<string> {
    let heads = this.told.get(documentId)
    if (!heads) this.told.set(documentId, (heads = new Set()))
    return heads
  }

  received(message: Message): void {
    const id = message.documentId
    if (!id) return
    if (message.type === "doc-unavailable") this.unavailable.set(id, (this.unavailable.get(id) ?? 0) + 1)
    if (message.type !== "sync" || !message.data) return
    this.#count()
    const heads = this.heads(id)
    const decoded = decodeSyncMessage(message.data)
    for (const head of decoded.heads) heads.add(head)
    this.chunks.set(id, [...(this.chunks.get(id) ?? []), ...decoded.changes.flatMap(chunkTypes)])
  }

  sent(type: string): void {
    if (type === "sync" || type === "request") this.#count()
  }

  #count(): void {
    this.messages++
    this.lastAt = performance.now()
  }
}

/** The types of the chunks in a run of such. */
export function chunkTypes(run: Uint8Array): number[] {
  const types: number[] = []
  for (let at = 0; at < run.length; ) {
    if (run[at] !== 0x85) throw new Error(`no chunk begins at ${at} of ${run.length}`)
    types.push(run[at + 8]!)
    let length = 0
    let shift = 1
    for (at += 9; ; at++, shift *= 128) {
      length += (run[at]! & 127) * shift
      if (run[at]! < 128) break
    }
    at += 1 + length
  }
  return types
}

/** A stock adapter with a tap, which stays closed once it is disconnected. */
export interface TappedAdapter extends WebSocketClientAdapter {
  readonly tap: Tap
}

export type TappedAdapterClass = new (url: string, retryInterval: number) => TappedAdapter

function tapped(Base: typeof WebSocketClientAdapter): TappedAdapterClass {
  return class extends Base {
    readonly tap = new Tap()
    #closed = false

    constructor(url: string, retryInterval: number) {
      super(url, retryInterval)
      this.on("message", (message) => this.tap.received(message))
      // In Node the adapter throws what it cannot name; in a browser, which it is
      // written for, it learns nothing of errors and retries.
      this.onError = () => {}
    }

    override connect(...args: Parameters<WebSocketClientAdapter["connect"]>): void {
      if (this.#closed) return // the timer of a retry outlives disconnect()
      ignoreErrors(this.socket)
      super.connect(...args)
    }

    override disconnect(): void {
      this.#closed = true
      ignoreErrors(this.socket)
      if (this.socket) super.disconnect()
    }

    override send(message: Parameters<WebSocketClientAdapter["send"]>[0]): void {
      // The adapter would throw at whoever is editing while its socket closes.
      if (this.socket && this.socket.readyState !== this.socket.OPEN) return
      this.tap.sent(message.type)
      super.send(message)
    }
  }
}

/** The adapter takes its listeners off a socket it gives up; in Node the next error then ends the process. */
export function ignoreErrors(socket: WebSocketClientAdapter["socket"]): void {
  socket?.addEventListener("error", () => {})
}

export const Adapter = tapped(WebSocketClientAdapter)

/** The adapter of automerge-repo 2.0: another class, of the same shape. */
export const OldAdapter = tapped(OldWebSocketClientAdapter as unknown as typeof WebSocketClientAdapter)
