import type { DocHandle } from "@automerge/automerge-repo"
import bs58check from "bs58check"
import type { Connection } from "./connection.ts"
import { Live } from "./live.ts"
import type { Incoming, Outgoing } from "./protocol.ts"
import { parseSyncMessage } from "./syncmessage.ts"

/**
 * Where the newest state of a document is: only `local`; `received` by the server,
 * which has not committed it yet; or on the server's `disk`.
 */
export type SavedState = "local" | "received" | "disk"

/** After so long without news of a commit it is asked whether the server has received anything at all. */
const askAfter = 300

/** What the server has of each document, as far as sync messages tell. */
export class SavedHeads {
  #documents = new Map<string, Document>()

  constructor(private readonly connection: Connection) {
    connection.on("message", (message: Incoming) => {
      if (message.type !== "sync") return
      const told = parseSyncMessage(message.data as Uint8Array)
      if (told) this.#of(message.documentId as string).onDisk(told.heads)
    })
    connection.on("lost", () => {
      for (const document of this.#documents.values()) document.lost()
    })
  }

  /** To be told of each message that went out. */
  sent(message: Outgoing): void {
    if (message.type !== "sync" && message.type !== "request") return
    const said = parseSyncMessage(message.data as Uint8Array)
    if (said && said.changes > 0) this.#of(message.documentId as string).sent(said.heads)
  }

  /** The state of a handle's document, while somebody subscribes to it. */
  saved(handle: DocHandle<any>): Saved {
    return this.#of(handle.documentId).saved(handle)
  }

  #of(documentId: string): Document {
    let document = this.#documents.get(documentId)
    if (!document) this.#documents.set(documentId, (document = new Document(this.connection)))
    return document
  }
}

/** What the server has of one document. */
class Document {
  #disk = new Set<string>()
  #sent: string[] = []
  #received = new Set<string>()
  #saved = new Map<DocHandle<any>, Saved>()
  #asking: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly connection: Connection) {}

  saved(handle: DocHandle<any>): Saved {
    let saved = this.#saved.get(handle)
    if (!saved) this.#saved.set(handle, (saved = new Saved(handle, (heads) => this.#state(heads))))
    return saved
  }

  onDisk(heads: string[]): void {
    // What is on disk stays there, though others have built on it.
    const still = [...this.#saved.values()].flatMap((saved) => saved.heads()).filter((head) => this.#disk.has(head))
    this.#disk = new Set([...heads, ...still])
    this.#look()
  }

  sent(heads: string[]): void {
    this.#sent = heads
    this.#asking ??= setTimeout(() => void this.#ask(), askAfter)
  }

  lost(): void {
    clearTimeout(this.#asking)
    this.#asking = undefined
    this.#sent = []
    this.#received.clear()
    this.#look()
  }

  #state(heads: string[]): SavedState {
    if (heads.every((head) => this.#disk.has(head))) return "disk"
    return heads.every((head) => this.#received.has(head) || this.#disk.has(head)) ? "received" : "local"
  }

  /** The server takes messages in order: with the answer, it has what went before. */
  async #ask(): Promise<void> {
    const sent = this.#sent
    try {
      if (!sent.every((head) => this.#disk.has(head))) {
        await this.connection.request("ping", {})
        this.#received = new Set(sent)
        this.#look()
      }
      this.#asking = undefined
      if (this.#sent !== sent) this.sent(this.#sent)
    } catch {
      // The connection is lost, and lost() has been called.
    }
  }

  #look(): void {
    for (const saved of this.#saved.values()) saved.look()
  }
}

/** The state of one document; see {@link SavedState}. */
export class Saved extends Live<SavedState> {
  constructor(
    private readonly handle: DocHandle<any>,
    private readonly state: (heads: string[]) => SavedState,
  ) {
    super("local")
  }

  /** @internal */
  readonly look = (): void => {
    if (this.running && this.handle.isReady()) this.set(this.state(this.heads()))
  }

  /** @internal */
  heads(): string[] {
    return this.handle.isReady() ? this.handle.heads().map(hex) : []
  }

  protected override start(): void {
    this.handle.on("heads-changed", this.look)
    this.look()
  }

  protected override stop(): void {
    this.handle.off("heads-changed", this.look)
  }
}

/** automerge-repo tells heads in bs58check. */
function hex(head: string): string {
  return Array.from(bs58check.decode(head), (byte) => byte.toString(16).padStart(2, "0")).join("")
}
