// A socket without automerge-repo, for what no stock client does.

import { createHash } from "node:crypto"
import { type DecodedSyncMessage, decodeSyncMessage, encodeSyncMessage } from "@automerge/automerge"
import { cbor } from "@automerge/automerge-repo"
import WebSocket from "ws"
import { token } from "./atrium.ts"
import { until } from "./wait.ts"

export interface RawMessage {
  type: string
  [field: string]: unknown
}

export class RawSocket {
  readonly messages: RawMessage[] = []
  /** Set once, when the socket has closed. */
  closeCode: number | undefined
  readonly #socket: WebSocket

  constructor(url: string) {
    this.#socket = new WebSocket(url)
    this.#socket.binaryType = "arraybuffer"
    this.#socket.on("message", (data: ArrayBuffer) => this.messages.push(cbor.decode<RawMessage>(new Uint8Array(data))))
    this.#socket.on("close", (code) => (this.closeCode = code))
    this.#socket.on("error", () => {})
  }

  async send(message: RawMessage): Promise<void> {
    await until("the socket opens", () => this.#socket.readyState === WebSocket.OPEN)
    this.#socket.send(cbor.encode(message))
  }

  /** Waits for the first message of a type. */
  async next(type: string): Promise<RawMessage> {
    return until(
      () => `a message of type ${type}; came: ${this.messages.map((message) => message.type).join(" ") || "none"}`,
      () => this.messages.find((message) => message.type === type),
    )
  }

  hangUp(): void {
    this.#socket.terminate()
  }
}

/** The hash of a change chunk. */
export function hashOf(chunk: Uint8Array): string {
  return createHash("sha256").update(chunk.subarray(8)).digest("hex")
}

/** A client that syncs one document without looking into its changes. */
export class RawPeer {
  readonly #sent = new Set<string>()
  readonly #told = new Set<string>()

  private constructor(
    readonly name: string,
    private readonly documentId: string,
    private readonly socket: RawSocket,
  ) {}

  static async dial(at: { url: string }, name: string, documentId: string): Promise<RawPeer> {
    const raw = new RawPeer(name, documentId, new RawSocket(`${at.url}?token=${token({ sub: name })}`))
    await raw.socket.send({ type: "join", senderId: name, peerMetadata: {}, supportedProtocolVersions: ["1"] })
    await raw.socket.next("peer")
    await raw.send({ heads: [], need: [], have: [{ lastSync: [], bloom: new Uint8Array() }], changes: [] })
    return raw
  }

  async send(message: DecodedSyncMessage): Promise<void> {
    const { senderId } = await this.socket.next("peer")
    await this.socket.send({ type: "sync", senderId: this.name, targetId: senderId, documentId: this.documentId, data: encodeSyncMessage(message) })
  }

  /** Waits until all of these changes have come. */
  async has(hashes: string[]): Promise<void> {
    await until(`${this.name} has ${hashes}`, () => this.#read() && hashes.every((hash) => this.#sent.has(hash)))
  }

  /** Waits until it has been told of a head. */
  async isTold(head: string): Promise<void> {
    await until(`${this.name} is told ${head}`, () => this.#read() && this.#told.has(head))
  }

  #read(): true {
    for (const message of this.socket.messages.splice(1)) {
      if (message.type !== "sync") continue
      const { heads, changes } = decodeSyncMessage(message.data as Uint8Array)
      for (const head of heads) this.#told.add(head)
      for (const chunk of changes) this.#sent.add(hashOf(chunk))
    }
    return true
  }

  hangUp(): void {
    this.socket.hangUp()
  }
}
