import type { Message, NetworkAdapterEvents, NetworkAdapterInterface, PeerId, PeerMetadata, StorageId } from "@automerge/automerge-repo"
import { EventEmitter } from "eventemitter3"
import type { Connection } from "./connection.ts"
import type { Incoming, Outgoing, Peer } from "./protocol.ts"

/** automerge-repo's messages: all that a repo may get, and send. */
const types = new Set(["sync", "request", "ephemeral", "doc-unavailable"])
/** How long a repo waits for the network before it says that a document is not there. */
const patience = 1_000

/**
 * A repo's network, over a connection that others share. The repo calls itself by
 * a name of its own; the server knows the connection's, and is told that.
 */
export class RepoAdapter extends EventEmitter<NetworkAdapterEvents> implements NetworkAdapterInterface {
  peerId?: PeerId
  peerMetadata?: PeerMetadata
  #server: PeerId | undefined
  #connected = false
  #ready = false
  #waiting: (() => void)[] = []

  constructor(
    private readonly connection: Connection,
    private readonly sent: (message: Outgoing) => void,
  ) {
    super()
    connection.on("peer", this.#joined)
    connection.on("lost", this.#lost)
    connection.on("message", this.#told)
  }

  isReady(): boolean {
    return this.#ready
  }

  whenReady(): Promise<void> {
    return this.#ready ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve))
  }

  connect(peerId: PeerId, peerMetadata?: PeerMetadata): void {
    this.peerId = peerId
    this.peerMetadata = peerMetadata
    this.#connected = true
    setTimeout(() => this.#isReady(), patience)
    if (this.connection.peer) this.#joined(this.connection.peer)
  }

  disconnect(): void {
    this.#lost()
    this.#connected = false
  }

  send(message: Message): void {
    // Repos echo what others have said, which the server does not take from here.
    if (!this.#server || message.senderId !== this.peerId) return
    const own = { ...message, senderId: this.connection.senderId } as unknown as Outgoing
    if ("data" in message && message.data) own.data = bytes(message.data)
    if (this.connection.send(own)) this.sent(own)
  }

  readonly #joined = (peer: Peer) => {
    if (!this.#connected) return
    this.#server = peer.senderId as PeerId
    const { storageId, isEphemeral } = peer.peerMetadata
    this.emit("peer-candidate", { peerId: this.#server, peerMetadata: { storageId: storageId as StorageId, isEphemeral } })
    this.#isReady()
  }

  readonly #lost = () => {
    const peerId = this.#server
    this.#server = undefined
    if (peerId) this.emit("peer-disconnected", { peerId })
  }

  readonly #told = (message: Incoming) => {
    if (!this.#connected || !types.has(message.type)) return
    this.emit("message", { ...message, targetId: this.peerId } as unknown as Message)
  }

  #isReady(): void {
    this.#ready = true
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** The same bytes as cbor-x writes as a byte string: a Buffer or a view of another kind is one, too. */
function bytes(data: Uint8Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
