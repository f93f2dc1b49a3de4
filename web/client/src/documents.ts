import type { DocHandle } from "@automerge/automerge-repo"
import { type Connection } from "./connection.ts"
import { Live } from "./live.ts"
import type { Access, AtriumError, CursorUpdate, Incoming, Member, Place, Told } from "./protocol.ts"
import type { Saved, SavedHeads } from "./saved.ts"

export interface DocumentState {
  /** `missing` until the server has it, `forbidden` until the token changes. */
  status: "joining" | "joined" | "missing" | "forbidden"
  access: Access | undefined
  /** Who has the document open, also those who only sync it. */
  users: readonly Member[]
  /** Where the others are, by session: those of the same user's other sessions too. */
  cursors: ReadonlyMap<string, CursorUpdate>
}

const empty: DocumentState = { status: "joining", access: undefined, users: [], cursors: new Map() }
/** Cursors go out so often at most; the newest counts. */
const cursorsEvery = 40
const retry = { first: 250, most: 10_000 }

/** Who else has documents open, where their cursors are, and what is saved. */
export class Documents {
  #documents = new Map<string, OpenDocument>()

  constructor(
    private readonly connection: Connection,
    private readonly heads: SavedHeads,
  ) {
    connection.on("peer", () => this.#each((document) => document.resume()))
    connection.on("token", () => this.#each((document) => document.rejoin()))
    connection.on("lost", () => this.#each((document) => document.lost()))
    connection.on("message", (message: Incoming) => {
      if (typeof message.documentId === "string") this.#documents.get(message.documentId)?.told(message)
    })
  }

  /** The document of this id or automerge: URL, the same object each time. It is joined while somebody subscribes to it. */
  open(id: string): OpenDocument {
    const documentId = id.replace(/^automerge:/, "").replace(/#.*$/, "")
    let document = this.#documents.get(documentId)
    if (!document) this.#documents.set(documentId, (document = new OpenDocument(documentId, this.connection)))
    return document
  }

  /** Whether the newest state of a handle's document is on the server's disk. Its repo must have this client's adapter. */
  saved(handle: DocHandle<any>): Saved {
    return this.heads.saved(handle)
  }

  close(): void {
    this.#each((document) => document.close())
  }

  #each(act: (document: OpenDocument) => void): void {
    for (const document of this.#documents.values()) act(document)
  }
}

/** One document, and who has it open. */
export class OpenDocument extends Live<DocumentState> {
  #joining = false
  #failures = 0
  #retrying: ReturnType<typeof setTimeout> | undefined
  #place: Place | undefined // where the user is, as it was said last
  #moving: ReturnType<typeof setTimeout> | undefined

  constructor(
    readonly documentId: string,
    private readonly connection: Connection,
  ) {
    super(empty)
  }

  /** Shows the others where the user is; nowhere, without a place. It is shown while somebody subscribes. */
  move(place: Place | undefined): void {
    this.#place = place
    this.#moving ??= setTimeout(() => {
      this.#moving = undefined
      if (this.value.status === "joined") this.#show()
    }, cursorsEvery)
  }

  /** @internal */
  resume(): void {
    if (this.running && this.value.status !== "joined") void this.#join()
  }

  /** @internal Asks again what is granted. */
  rejoin(): void {
    if (this.running) void this.#join()
  }

  /** @internal */
  lost(): void {
    clearTimeout(this.#retrying)
    this.set({ ...empty, users: this.value.users })
  }

  /** @internal */
  close(): void {
    this.end()
  }

  /** @internal */
  told(message: Incoming): void {
    if (!this.running) return
    const state = this.value
    switch (message.type as keyof Told) {
      case "sync":
        if (state.status === "missing") this.resume() // it is there now
        return
      case "doc-unavailable":
        if (state.status !== "joined") return
        this.set({ ...empty, status: "missing" })
        return this.resume()
      case "collab:active_users":
        return this.#patch({ users: (message as unknown as Told["collab:active_users"]).users.map(member) })
      case "collab:user_joined": {
        const { userId, username } = message as unknown as Told["collab:user_joined"]
        if (state.users.some((user) => user.userId === userId)) return
        return this.#patch({ users: [...state.users, { userId, username, avatar: "", sessions: 1 }] })
      }
      case "collab:user_left": {
        const { userId } = message as unknown as Told["collab:user_left"]
        const cursors = new Map([...state.cursors].filter(([, cursor]) => cursor.userId !== userId))
        return this.#patch({ users: state.users.filter((user) => user.userId !== userId), cursors })
      }
      case "collab:cursor_update":
        return this.#moved((message as unknown as Told["collab:cursor_update"]).updates)
    }
  }

  protected override start(): void {
    this.#failures = 0
    this.resume()
  }

  protected override stop(): void {
    clearTimeout(this.#retrying)
    if (this.value.status === "joined") {
      this.connection.request("collab:leave_document", { documentId: this.documentId }).catch(() => {})
    }
    this.set(empty)
  }

  async #join(): Promise<void> {
    if (this.#joining || this.connection.state !== "online") return
    this.#joining = true
    clearTimeout(this.#retrying)
    const { documentId } = this
    try {
      await this.connection.request("collab:join_document", { documentId }, ({ access, users }) => {
        this.#failures = 0
        this.#patch({ status: "joined", access, users: users.map(member) })
        if (this.#place) this.#show()
      })
    } catch (error) {
      const { code, retryable } = error as AtriumError
      const missing = code === "not_found"
      if (missing || (!retryable && code !== "offline")) this.set({ ...empty, status: missing ? "missing" : "forbidden" })
      if (missing || (retryable && code !== "offline")) {
        // Somebody may be making it right now.
        const wait = Math.min(retry.first * 2 ** this.#failures++, retry.most)
        this.#retrying = setTimeout(() => this.resume(), wait)
      }
    }
    this.#joining = false
    if (!this.running && this.value.status === "joined") this.stop()
  }

  #show(): void {
    this.connection.note("collab:cursor_move", { documentId: this.documentId, ...this.#place })
  }

  #moved(updates: CursorUpdate[]): void {
    const cursors = new Map(this.value.cursors)
    for (const update of updates) {
      const { sessionId, x, y, cursor } = update
      if (sessionId === this.connection.peer?.sessionId) continue
      if (x === undefined && y === undefined && cursor === undefined) cursors.delete(sessionId)
      else cursors.set(sessionId, update)
    }
    this.#patch({ cursors })
  }

  #patch(some: Partial<DocumentState>): void {
    this.set({ ...this.value, ...some })
  }
}

/** Without the cursor that answers have, and updates tell by session. */
const member = ({ userId, username, avatar, sessions }: Member): Member => ({ userId, username, avatar, sessions })
