import type { NetworkAdapterInterface } from "@automerge/automerge-repo"
import { EventEmitter } from "eventemitter3"
import { RepoAdapter } from "./adapter.ts"
import { Chat } from "./chat.ts"
import { Connection, type ConnectionOptions, type Refusal, type State } from "./connection.ts"
import { Dashboard } from "./dashboard.ts"
import { Documents } from "./documents.ts"
import { Events } from "./events.ts"
import { guarded } from "./guarded.ts"
import { Notifications } from "./notifications.ts"
import { Presence } from "./presence.ts"
import type { AtriumError, User } from "./protocol.ts"
import { SavedHeads } from "./saved.ts"

export interface Options extends ConnectionOptions {
  /** How much may wait for a connection: messages per room, and marks in the inbox. Default: 100. */
  queue?: number
}

interface ClientEvents {
  /** `refused` is for good, and {@link Client.refusal} says why. */
  state: (state: State) => void
  /** What nobody waits for went wrong: a refresh of the token, a message too large to be sent. */
  error: (error: AtriumError) => void
}

/** Connects to a server, and stays connected until close is called. */
export const connect = (options: Options): Client => new Client(options)

/**
 * All that goes over one connection. What has been subscribed to comes back with the
 * connection by itself; what was missed meanwhile comes late, and once.
 */
export class Client extends EventEmitter<ClientEvents> {
  readonly documents: Documents
  readonly chat: Chat
  readonly presence: Presence
  readonly notifications: Notifications
  readonly dashboard: Dashboard
  readonly events: Events
  readonly #connection: Connection
  readonly #adapter: RepoAdapter
  #user: User | undefined

  constructor({ queue = 100, ...options }: Options) {
    super()
    const connection = (this.#connection = new Connection(options))
    connection.on("peer", ({ user }) => (this.#user = user))
    const heads = new SavedHeads(connection)
    this.#adapter = new RepoAdapter(connection, (message) => heads.sent(message))
    this.documents = new Documents(connection, heads)
    this.chat = new Chat(connection, () => this.#user?.id, queue)
    this.presence = new Presence(connection)
    this.notifications = new Notifications(connection, queue)
    this.dashboard = new Dashboard(connection)
    this.events = new Events(connection)
    connection.on("state", guarded((state) => void this.emit("state", state)))
    connection.on("error", guarded((error) => void this.emit("error", error)))
  }

  get state(): State {
    return this.#connection.state
  }

  /** Why it is refused. */
  get refusal(): Refusal | undefined {
    return this.#connection.refusal
  }

  /** Who the token says the user is; once the server has said so. */
  get user(): User | undefined {
    return this.#user
  }

  /** The session's id, as cursors bear it; while online. */
  get sessionId(): string | undefined {
    return this.#connection.peer?.sessionId
  }

  /** The network of an automerge-repo: `new Repo({ network: [client.repoAdapter()] })`. There is one, for one repo. */
  repoAdapter(): NetworkAdapterInterface {
    return this.#adapter
  }

  /** Calls the server over HTTP with the user's token; the path is relative to it, as in `api/v1/documents/…`. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const base = this.#connection.url.replace(/^ws/, "http").replace(/ws(\?.*)?$/, "")
    const url = new URL(path, base)
    if (url.origin !== new URL(base).origin) throw new TypeError(`${url.origin} is not the server: it gets no token`)
    const headers = new Headers(init.headers)
    headers.set("Authorization", `Bearer ${await this.#connection.token()}`)
    return fetch(url, { ...init, headers })
  }

  /** Tries again at once: after a refusal, or instead of waiting. */
  reconnect(): void {
    this.#connection.reconnect()
  }

  /** Leaves. What waits to be sent is rejected. */
  close(): void {
    this.#connection.close()
    this.documents.close()
    this.chat.close()
    this.notifications.close()
  }
}
