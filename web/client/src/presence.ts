import type { Connection } from "./connection.ts"
import { Live } from "./live.ts"
import { Subscriptions } from "./subscriptions.ts"
import type { Incoming, Status, UserStatus } from "./protocol.ts"

/** Who is online, and since when not. */
export class Presence {
  #users = new Map<string, UserPresence>()
  #status: Exclude<Status, "offline"> | undefined // as it was set here last
  readonly #subscriptions: Subscriptions

  constructor(private readonly connection: Connection) {
    this.#subscriptions = new Subscriptions(
      connection,
      (userIds) => connection.request("presence:subscribe", { userIds }, ({ users }) => users.forEach((user) => this.#told(user))),
      (userIds) => connection.request("presence:unsubscribe", { userIds }),
    )
    connection.on("peer", () => this.#status && this.set(this.#status).catch(() => {}))
    connection.on("message", (message: Incoming) => {
      if (message.type === "presence:update") this.#told(message as unknown as UserStatus)
    })
  }

  /** A user's status, the same object each time; known while somebody subscribes to it. */
  user(userId: string): UserPresence {
    let user = this.#users.get(userId)
    if (!user) this.#users.set(userId, (user = new UserPresence(userId, this.#subscriptions)))
    return user
  }

  /** Sets the user's own status, for all of the user's sessions; again after each reconnect. */
  async set(status: Exclude<Status, "offline">): Promise<void> {
    this.#status = status
    await this.connection.request("presence:set", { status })
  }

  #told({ userId, status, lastSeen }: UserStatus): void {
    this.#users.get(userId)?.told({ userId, status, lastSeen })
  }
}

/** One user's status; undefined until it is known. */
export class UserPresence extends Live<UserStatus | undefined> {
  constructor(
    readonly userId: string,
    private readonly subscriptions: Subscriptions,
  ) {
    super(undefined)
  }

  /** @internal */
  told(status: UserStatus): void {
    if (!this.running) return
    const { value } = this
    if (value?.status !== status.status || value.lastSeen !== status.lastSeen) this.set(status)
  }

  protected override start(): void {
    this.subscriptions.add(this.userId)
  }

  protected override stop(): void {
    this.subscriptions.delete(this.userId)
  }
}
