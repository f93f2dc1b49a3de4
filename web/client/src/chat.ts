import type { Connection } from "./connection.ts"
import { guarded } from "./guarded.ts"
import { randomId } from "./id.ts"
import { Live } from "./live.ts"
import { Outbox } from "./outbox.ts"
import type { AtriumError, ChatMessage, Incoming, Member, Requests, RoomEvent, RoomSummary, Told } from "./protocol.ts"

export interface RoomState {
  /** `forbidden` lasts until the token changes. */
  status: "joining" | "joined" | "forbidden"
  /** In the order of their seq; deleted ones stay, with `deleted`. */
  messages: readonly ChatMessage[]
  /** Said here, and not stored yet, in the order in which they will be. */
  pending: readonly Pending[]
  /** Who is in the room, a thousand at most. */
  members: readonly Member[]
  memberCount: number
  /** The others who are typing. */
  typing: readonly Typist[]
  /** Messages of others behind the read mark. */
  unread: number
  readSeq: number
  lastSeq: number
  /** Whether there are older messages than these: see {@link Room.older}. */
  more: boolean
}

export interface Pending {
  clientId: string
  content: string
  createdAt: string
  replyTo?: string
}

export interface Typist {
  userId: string
  username: string
}

const empty: RoomState = {
  status: "joining", messages: [], pending: [], members: [], memberCount: 0, typing: [],
  unread: 0, readSeq: 0, lastSeq: 0, more: false,
}
/** Repeated at most so often while somebody types; it ends by itself after 6 s. */
const typingEvery = 3_000

/** Rooms and their messages. */
export class Chat {
  #rooms = new Map<string, Room>()

  constructor(
    private readonly connection: Connection,
    private readonly userId: () => string | undefined,
    private readonly queue: number,
  ) {
    connection.on("peer", () => this.#each((room) => room.resume()))
    connection.on("lost", () => this.#each((room) => room.lost()))
    // Which rooms a token has ended, they find out by joining again.
    connection.on("token", (less) => this.#each((room) => (less ? room.rejoin() : room.resume())))
    connection.on("message", (message) => this.#told(message))
  }

  /** The room of this id, the same object each time. It is joined while somebody subscribes to it, or it has something to say. */
  room(roomId: string): Room {
    let room = this.#rooms.get(roomId)
    if (!room) this.#rooms.set(roomId, (room = new Room(roomId, this.connection, this.userId, this.queue)))
    return room
  }

  /** The rooms that the user has joined before, the one where something happened last first; 200 at most. */
  async rooms(): Promise<RoomSummary[]> {
    return (await this.connection.request("chat:rooms", {})).rooms
  }

  close(error?: AtriumError): void {
    this.#each((room) => room.close(error))
  }

  #each(act: (room: Room) => void): void {
    for (const room of this.#rooms.values()) act(room)
  }

  #told(message: Incoming): void {
    if (!message.type.startsWith("chat:")) return
    this.#rooms.get(message.roomId as string)?.told(message)
  }
}

/** One room. What is said while there is no connection is kept, in bounds, and stored once. */
export class Room extends Live<RoomState> {
  #joined = false
  #joining = false
  #from: number | undefined // the last seq that is known
  #read: { seq: number; sending: boolean } | undefined
  #typingSince = 0 // when it was told last, 0 if it was not
  readonly #outbox: Outbox
  readonly #stored = new Set<string>() // clientIds of what is pending still, and has been acknowledged
  readonly #listeners = new Set<(event: RoomEvent) => void>()

  constructor(
    readonly roomId: string,
    private readonly connection: Connection,
    private readonly userId: () => string | undefined,
    queue: number,
  ) {
    super(empty)
    this.#outbox = new Outbox(connection, queue)
  }

  /**
   * Calls back for each message, edit and deletion from now on, in the order of
   * their seq, those included that come after a reconnect; until the returned
   * function is called. It keeps the room joined, as subscribe does.
   */
  on(listener: (event: RoomEvent) => void): () => void {
    const own = guarded(listener)
    this.#listeners.add(own)
    const leave = this.subscribe(() => {})
    return () => {
      this.#listeners.delete(own)
      leave()
    }
  }

  /** Says something; resolves once it is stored. It rejects if it is refused, or if too much waits already. */
  async send(content: string, { replyTo }: { replyTo?: string } = {}): Promise<ChatMessage> {
    const pending = { clientId: randomId(), content, createdAt: new Date().toISOString(), replyTo }
    this.#patch({ pending: [...this.value.pending, pending] })
    this.#typingSince = 0 // the message ends it
    const { clientId } = pending
    try {
      const { message } = await this.#push("chat:message", { roomId: this.roomId, message: content, clientId, replyTo })
      // Its place is among the messages, where it comes in its turn.
      if (this.running && message.seq > this.value.lastSeq) this.#stored.add(clientId)
      else this.#drop(clientId)
      return message
    } catch (error) {
      this.#drop(clientId)
      throw error
    }
  }

  /** Changes what a message says; resolves once that is stored. */
  async edit(messageId: string, content: string): Promise<void> {
    await this.#push("chat:edit", { roomId: this.roomId, messageId, message: content })
  }

  /** Takes a message away; resolves once it is. */
  async delete(messageId: string): Promise<void> {
    await this.#push("chat:delete", { roomId: this.roomId, messageId })
  }

  /** To be called at every keystroke: tells the others, as often as needed. */
  typing(isTyping = true): void {
    const { roomId } = this
    if (!this.#joined) return
    if (isTyping && Date.now() - this.#typingSince < typingEvery) return
    if (!isTyping && !this.#typingSince) return
    this.#typingSince = isTyping ? Date.now() : 0
    this.connection.note("chat:typing", { roomId, isTyping })
  }

  /** Moves the user's read mark, to the last message unless told otherwise. A mark never goes back. */
  read(seq = this.value.lastSeq): void {
    if (seq <= Math.max(this.value.readSeq, this.#read?.seq ?? 0)) return
    this.#read = { seq, sending: this.#read?.sending ?? false }
    this.#patch({ unread: this.#unread(seq >= this.value.lastSeq ? 0 : this.value.unread) })
    void this.#sendRead()
  }

  /** Puts up to so many older messages in front of those that are known. */
  async older(limit = 50): Promise<void> {
    const first = this.value.messages[0]
    const { roomId } = this
    await this.connection.request("chat:history", { roomId, before: first?.seq, limit }, ({ messages, more }) => {
      if (first?.seq === this.value.messages[0]?.seq) this.#patch({ messages: [...messages, ...this.value.messages], more })
    })
  }

  /** @internal */
  resume(): void {
    if (this.#wanted) void this.#join()
  }

  /** @internal */
  rejoin(): void {
    this.#joined = false
    this.resume()
  }

  /** @internal */
  lost(): void {
    this.#joined = false
    this.#typingSince = 0
    this.#outbox.shut()
    if (this.value.status !== "forbidden") this.#patch({ status: "joining", typing: [] })
  }

  /** @internal */
  close(error?: AtriumError): void {
    this.#outbox.clear(error)
    this.end()
  }

  /** @internal */
  told(message: Incoming): void {
    const state = this.value
    switch (message.type as keyof Told) {
      case "chat:message":
      case "chat:edited":
      case "chat:deleted":
        return this.#next(message as unknown as RoomEvent)
      case "chat:typing": {
        const { userId, username, isTyping } = message as unknown as Told["chat:typing"]
        const others = state.typing.filter((typist) => typist.userId !== userId)
        return this.#patch({ typing: isTyping ? [...others, { userId, username }] : others })
      }
      case "chat:user_joined": {
        const { userId, username } = message as unknown as Told["chat:user_joined"]
        if (state.members.some((member) => member.userId === userId)) return
        const members = [...state.members, { userId, username, avatar: "", sessions: 1 }]
        return this.#patch({ members, memberCount: state.memberCount + 1 })
      }
      case "chat:user_left": {
        const { userId } = message as unknown as Told["chat:user_left"]
        return this.#patch({
          members: state.members.filter((member) => member.userId !== userId),
          memberCount: Math.max(state.memberCount - 1, 0),
          typing: state.typing.filter((typist) => typist.userId !== userId),
        })
      }
      case "chat:read": {
        const { seq, unread } = message as unknown as Told["chat:read"]
        if (seq < state.readSeq) return // of two at once, the older one
        return this.#patch({ readSeq: seq, unread: this.#unread(unread, seq) })
      }
    }
  }

  protected override start(): void {
    this.resume()
  }

  protected override stop(): void {
    if (this.#joined && !this.#wanted) this.#leave()
  }

  get #wanted(): boolean {
    return this.running || !this.#outbox.empty
  }

  async #push<T extends keyof Requests>(type: T, fields: Requests[T][0]): Promise<Requests[T][1]> {
    const answer = this.#outbox.push(type, fields)
    this.resume()
    try {
      return await answer
    } finally {
      this.stop()
    }
  }

  #leave(): void {
    this.#joined = false
    this.#outbox.shut()
    this.connection.request("chat:leave", { roomId: this.roomId }).catch(() => {})
    const pending = this.value.pending.filter(({ clientId }) => !this.#stored.has(clientId))
    this.#stored.clear()
    this.#patch({ status: "joining", typing: [], pending })
  }

  async #join(): Promise<void> {
    if (this.#joined || this.#joining || this.connection.state !== "online") return
    this.#joining = true
    try {
      const { roomId } = this
      await this.connection.request("chat:join", { roomId, since: this.#from }, (ack) => this.#begin(ack))
    } catch (error) {
      const { code, retryable } = error as AtriumError
      if (!retryable) {
        this.#outbox.clear(error as AtriumError)
        this.#patch({ status: "forbidden", typing: [] })
      } else if (code !== "offline") setTimeout(() => this.resume(), 1_000)
    } finally {
      this.#joining = false
    }
    if (this.#joined && !this.#wanted) this.#leave()
  }

  /** Takes over what the server knows of the room. */
  #begin(ack: Requests["chat:join"][1]): void {
    const { messages, members, memberCount, readSeq, unread, lastSeq, truncated } = ack
    const first = this.#from === undefined
    const events = messages.filter((event) => first || event.seq > this.#from!)
    let known = first || truncated ? [] : this.value.messages
    for (const event of events) known = apply(known, event)
    const more = (known[0]?.seq ?? lastSeq + 1) > 1 // what has the seq 1 is a message
    this.#joined = true
    this.#from = lastSeq
    for (const event of events) if ("clientId" in event) this.#stored.add(event.clientId!)
    const pending = this.value.pending.filter(({ clientId }) => !this.#stored.has(clientId))
    this.#stored.clear()
    const patch = { messages: known, pending, members, memberCount, readSeq, unread: this.#unread(unread, readSeq, known), lastSeq, more }
    this.#patch({ status: "joined", ...patch, typing: [] })
    if (!first) for (const event of events) this.#tell(event as RoomEvent)
    this.#outbox.open()
    void this.#sendRead()
  }

  /** Takes what comes next; behind a gap it asks for all that is missing. */
  #next(event: RoomEvent): void {
    if (!this.#joined || this.#from === undefined || event.seq <= this.#from) return
    if (event.seq > this.#from + 1) return this.rejoin()
    this.#from = event.seq
    const { messages, unread, readSeq, typing } = this.value
    const ofOther = event.type === "chat:message" && event.user.id !== this.userId()
    const known = apply(messages, event)
    this.#patch({
      messages: known,
      lastSeq: event.seq,
      unread: this.#unread(ofOther ? unread + 1 : unread, readSeq, known),
      typing: event.type === "chat:message" ? typing.filter(({ userId }) => userId !== event.user.id) : typing,
    })
    if (event.type === "chat:message" && event.clientId !== undefined && event.user.id === this.userId()) this.#drop(event.clientId)
    this.#tell(event)
  }

  /** Takes what is stored, or refused, from what is pending. */
  #drop(clientId: string): void {
    this.#stored.delete(clientId)
    this.#patch({ pending: this.value.pending.filter((other) => other.clientId !== clientId) })
  }

  #tell(event: RoomEvent): void {
    for (const listener of [...this.#listeners]) listener(event)
  }

  async #sendRead(): Promise<void> {
    const wanted = this.#read
    if (!wanted || wanted.sending || !this.#joined) return
    wanted.sending = true
    const { roomId } = this
    try {
      const { seq } = wanted
      await this.connection.request("chat:read", { roomId, seq }, ({ unread }) => {
        const readSeq = Math.max(seq, this.value.readSeq)
        this.#patch({ readSeq, unread: this.#unread(unread, readSeq) })
      })
      if (this.#read!.seq === seq) this.#read = undefined
    } catch (error) {
      if (!(error as AtriumError).retryable) this.#read = undefined
    }
    if (!this.#read) return
    this.#read.sending = false
    if (this.#joined) setTimeout(() => void this.#sendRead(), 250)
  }

  /**
   * Counts the unread ones, where all behind the mark are known: a number that was
   * told may be older than a message that overtook it.
   */
  #unread(told: number, readSeq = this.value.readSeq, messages = this.value.messages): number {
    const mark = Math.max(readSeq, this.#read?.seq ?? 0)
    if (!messages[0] || messages[0].seq > mark + 1) return told
    return messages.filter(({ seq, user, deleted }) => seq > mark && user.id !== this.userId() && !deleted).length
  }

  #patch(some: Partial<RoomState>): void {
    this.set({ ...this.value, ...some })
  }
}

/** The messages after an event; a plain message is one. */
function apply(messages: readonly ChatMessage[], event: RoomEvent | ChatMessage): readonly ChatMessage[] {
  if (!("type" in event) || event.type === "chat:message") {
    const { type: _, ...message } = event as { type?: string } & ChatMessage
    // Behind a truncated join, or for its place in an old page, it may be known already.
    const at = messages.findIndex((other) => other.id === message.id)
    if (at >= 0) return messages.with(at, message)
    return [...messages, message]
  }
  const at = messages.findIndex(({ id }) => id === event.messageId)
  const old = messages[at]
  if (!old) return messages
  if (event.type === "chat:deleted") return messages.with(at, { ...old, content: "", deleted: true })
  return old.deleted ? messages : messages.with(at, { ...old, content: event.content, editedAt: event.editedAt })
}
