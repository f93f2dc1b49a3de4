import type { Connection } from "./connection.ts"
import { guarded } from "./guarded.ts"
import { Live } from "./live.ts"
import { Outbox } from "./outbox.ts"
import type { AtriumError, Incoming, Notification, Told, Which } from "./protocol.ts"

export interface Inbox {
  /** Whether the server has been asked. */
  loaded: boolean
  /** The newest first. */
  notifications: readonly Notification[]
  /** Of the whole inbox. */
  unread: number
  /** Whether there are older ones: see {@link Notifications.older}. */
  more: boolean
}

const page = 50

/** The user's inbox, known while somebody subscribes to it. */
export class Notifications extends Live<Inbox> {
  #known: number | undefined // the newest seq, 0 in an empty inbox
  #listing = false
  #again = false
  readonly #outbox: Outbox
  readonly #listeners = new Set<(notification: Notification) => void>()

  constructor(
    private readonly connection: Connection,
    queue: number,
  ) {
    super({ loaded: false, notifications: [], unread: 0, more: false })
    this.#outbox = new Outbox(connection, queue)
    connection.on("peer", () => {
      this.#outbox.open()
      void this.#list()
    })
    connection.on("lost", () => this.#outbox.shut())
    connection.on("message", (message: Incoming) => {
      if (!this.running) return
      if (message.type === "notification:new") this.#new(message as unknown as Told["notification:new"])
      if (message.type === "notification:read") this.#read(message as unknown as Told["notification:read"])
    })
  }

  /**
   * Calls back once for each notification that is made from now on, those included
   * that come after a reconnect (the newest 50 of them), in their order; until the
   * returned function is called.
   */
  on(listener: (notification: Notification) => void): () => void {
    const own = guarded(listener)
    this.#listeners.add(own)
    const stop = this.subscribe(() => {})
    return () => {
      this.#listeners.delete(own)
      stop()
    }
  }

  /** Marks as read, in all of the user's sessions; resolves to how many are unread once it is stored. */
  async markRead(which: string | string[] | "all"): Promise<number> {
    const fields: Which =
      which === "all" ? { all: true } : typeof which === "string" ? { notificationId: which } : { notificationIds: which }
    return (await this.#outbox.push("notification:mark_read", fields)).unread
  }

  /** Puts up to so many older ones behind those that are known. */
  async older(limit = page): Promise<void> {
    const last = this.value.notifications.at(-1)
    await this.connection.request("notification:list", { before: last?.seq, limit }, ({ notifications, more }) => {
      if (this.value.notifications.at(-1)?.seq !== last?.seq) return
      this.#patch({ notifications: [...this.value.notifications, ...notifications], more })
    })
  }

  /** @internal */
  close(error?: AtriumError): void {
    this.#outbox.clear(error)
    this.end()
  }

  protected override start(): void {
    void this.#list()
  }

  /** They come all the same, and are not looked at. */
  protected override stop(): void {
    this.#known = undefined
    this.#patch({ loaded: false })
  }

  /** Lists, to find out what was missed. */
  async #list(): Promise<void> {
    if (!this.running || this.connection.state !== "online") return
    if (this.#listing) {
      this.#again = true
      return
    }
    this.#listing = true
    try {
      await this.connection.request("notification:list", { limit: page }, (ack) => {
        if (!this.running) return
        const old = this.value.notifications
        const listed = ack.notifications
        const oldest = listed.at(-1)?.seq ?? 0
        // What is older than the page stays, if nothing is missing in between.
        const older = (old[0]?.seq ?? 0) >= oldest - 1 ? old.filter(({ seq }) => seq < oldest) : []
        const more = older.length > 0 ? this.value.more : ack.more
        this.#patch({ loaded: true, notifications: [...listed, ...older], unread: ack.unread, more })
        const known = this.#known
        this.#known = listed[0]?.seq ?? 0
        if (known !== undefined) for (const one of listed.filter(({ seq }) => seq > known).reverse()) this.#tell(one)
      })
    } catch (error) {
      const { code } = error as AtriumError
      if (code !== "offline") setTimeout(() => void this.#list(), 1_000)
    }
    this.#listing = false
    if (this.#again) {
      this.#again = false
      void this.#list()
    }
  }

  #new({ unread, ...fields }: Told["notification:new"]): void {
    const { id, seq, kind, title, body, data, createdAt } = fields
    if (this.#known === undefined || this.#listing || seq > this.#known + 1) {
      // The list under way may have been made before it.
      void this.#list()
      return
    }
    if (seq <= this.#known) return
    this.#known = seq
    const made = { id, seq, kind, title, body, data, createdAt, read: false }
    this.#patch({ notifications: [made, ...this.value.notifications], unread })
    this.#tell(made)
  }

  #read({ notificationId, notificationIds, all, unread }: Told["notification:read"]): void {
    if (this.#listing) this.#again = true // that list may have been made before it
    const ids = new Set(notificationIds ?? (notificationId === undefined ? [] : [notificationId]))
    const notifications = this.value.notifications.map((one) => (!one.read && (all || ids.has(one.id)) ? { ...one, read: true } : one))
    this.#patch({ notifications, unread })
  }

  #tell(notification: Notification): void {
    for (const listener of [...this.#listeners]) listener(notification)
  }

  #patch(some: Partial<Inbox>): void {
    this.set({ ...this.value, ...some })
  }
}
