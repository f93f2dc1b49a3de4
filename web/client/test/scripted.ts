// A server that says what a test has it say, at the moment that the test chooses.

import { type Client, connect, type Options, type Socket } from "atrium-client"
import { Encoder } from "cbor-x"
import { afterEach } from "vitest"
import { until } from "../../interop/wait.ts"

export type Message = { type: string; id?: number } & Record<string, any>
type Answer = Record<string, unknown> | undefined

const encoder = new Encoder({ tagUint8Array: false, useRecords: false, mapsAsObjects: true })
const open = new Set<Client>()
afterEach(() => {
  for (const client of open) client.close()
  open.clear()
})

export class Scripted {
  /** All that was sent, over all connections. */
  readonly said: Message[] = []
  /** How many connections there were. */
  connections = 0
  /** What a message with an id is answered: an error if it has a code, otherwise an ack; nothing without a value. */
  answers: Record<string, (message: Message) => Answer> = {}
  readonly client: Client
  #socket: Socket | undefined

  constructor(options: Partial<Options> = {}) {
    this.client = connect({ url: "ws://scripted/ws", getToken: () => "token", WebSocket: this.#socketClass(), ...options })
    open.add(this.client)
  }

  async online(): Promise<this> {
    await until("online", () => this.client.state === "online")
    return this
  }

  /** All that was sent of one type. */
  of(type: string): Message[] {
    return this.said.filter((message) => message.type === type)
  }

  say(message: object): void {
    this.frame(encoder.encode(message))
  }

  /** A binary frame with any bytes. */
  frame(bytes: Uint8Array): void {
    this.#socket?.onmessage?.({ data: new Uint8Array(bytes).buffer })
  }

  close(code = 1006): void {
    const socket = this.#socket
    this.#socket = undefined
    socket?.onclose?.({ code })
  }

  #hear(message: Message): void {
    this.said.push(message)
    if (message.type === "join") return this.say(peer)
    if (message.id === undefined) return
    const { [message.type]: answer = () => ({}) } = this.answers
    const fields = answer(message)
    if (fields) this.say({ type: "code" in fields ? "error" : "ack", id: message.id, ...fields })
  }

  #socketClass(): new (url: string) => Socket {
    const script = this
    return class implements Socket {
      binaryType = ""
      bufferedAmount = 0
      onopen: ((event: any) => void) | null = null
      onmessage: ((event: any) => void) | null = null
      onclose: ((event: any) => void) | null = null
      onerror: ((event: any) => void) | null = null

      constructor() {
        script.connections++
        script.#socket = this
        setTimeout(() => this.onopen?.({}))
      }

      send(data: Uint8Array): void {
        const message = encoder.decode(data) as Message
        setTimeout(() => script.#socket === this && script.#hear(message))
      }

      close(): void {
        if (script.#socket === this) script.#socket = undefined
      }
    }
  }
}

const peer = {
  type: "peer", senderId: "server", sessionId: "session", user: { id: "alice", name: "Alice", avatar: "" }, serverVersion: "test",
  peerMetadata: { storageId: "storage", isEphemeral: false },
  limits: { maxMessageBytes: 1 << 24, messagesPerSecond: 10, cursorsPerSecond: 60 },
}

/** The answer to a join of a room, in which bob has said so many things. */
export const room = (lastSeq: number, more: object = {}) => ({
  lastSeq, messages: Array.from({ length: lastSeq }, (_, i) => said(i + 1)), members: [], memberCount: 0, readSeq: 0, unread: lastSeq, ...more,
})

/** A message in room `r`. */
export const said = (seq: number, more: object = {}) => ({
  type: "chat:message", id: `m${seq}`, roomId: "r", seq, content: `${seq}`, user: { id: "bob", name: "Bob", avatar: "" },
  createdAt: "2026-01-01T00:00:00.000000Z", ...more,
})
