import { Decoder, encode } from "cbor-x"
import { EventEmitter } from "eventemitter3"
import { randomId } from "./id.ts"
import { Pace } from "./pace.ts"
import { AtriumError, type Code, type Incoming, type Notes, type Outgoing, type Peer, type Requests } from "./protocol.ts"
import { life, refreshIn } from "./token.ts"

/** `refused` is for good: until reconnect is called. */
export type State = "connecting" | "online" | "offline" | "refused"

/** Why a connection was refused. */
export interface Refusal {
  /** The close code, see docs/protocol.md. */
  closeCode: number
  message: string
}

/** What of a WebSocket is used: browsers', Node's and that of the `ws` package have it. */
export interface Socket {
  binaryType: string
  readonly bufferedAmount: number
  send(data: Uint8Array): void
  close(code?: number): void
  onopen: ((event: any) => void) | null
  onmessage: ((event: any) => void) | null
  onclose: ((event: any) => void) | null
  onerror: ((event: any) => void) | null
}

export interface ConnectionOptions {
  /** The server's `/ws`, as ws:, wss:, http:, https:, or relative to the page. */
  url: string
  /** Returns a token that holds. It is asked before the last one ends, and after one was refused. */
  getToken: () => string | Promise<string>
  /** What tells this client from others of the same user. Default: a random one. */
  senderId?: string
  /** Default: the platform's. */
  WebSocket?: new (url: string) => Socket
}

interface ConnectionEvents {
  state: (state: State) => void
  /** It is online, and has forgotten all that was joined before. */
  peer: (peer: Peer) => void
  /** It is online no more. */
  lost: () => void
  /** The server has taken another token, which may grant more; or less, and something has ended with it. */
  token: (less: boolean) => void
  /** All but answers. */
  message: (message: Incoming) => void
  /** What was refused without being asked. */
  error: (error: AtriumError) => void
}

interface Question {
  message: Outgoing
  answered: (ack: never) => void
  refused: (error: AtriumError) => void
  /** Of one that waits for its turn. */
  turn?: ReturnType<typeof setTimeout>
}

/** Close codes after which nothing gets better by coming back. 4401 is one once a fresh token was refused, too. */
const final = new Set([1002, 1007, 1009, 4400, 4403, 4409, 4429])
const unauthenticated = 4401
const goingAway = 4503

const joinWithin = 15_000
/** A connection is probed after so long without a sound, while an answer is awaited or not. */
const quiet = { asked: 8_000, idle: 35_000 }
const probeWithin = 5_000
const checkEvery = 1_000
const backoff = { first: 500, most: 15_000 }
/** A connection that held so long starts counting its failures anew. */
const settled = 10_000
const longestTimer = 86_400_000
/** A little less than servers take, of joins and subscriptions, and of all else: see docs/protocol.md. */
const paces = () => ({ joins: new Pace(180, 110), others: new Pace(15, 110) })
const isJoin = /join|leave|subscribe/

/**
 * One WebSocket at a time: it joins, matches answers to requests, keeps its token
 * fresh, notices silence, and comes back after a while when it is lost.
 */
export class Connection extends EventEmitter<ConnectionEvents> {
  readonly senderId: string
  readonly url: string

  #state: State = "connecting"
  #peer: Peer | undefined
  #refusal: Refusal | undefined
  #closed = false

  #socket: Socket | undefined
  #attempt = 0 // of connecting; what belongs to another one is late
  #failures = 0
  #onlineSince = 0
  #token: { value: string; until: number } | undefined
  #less = false // the server has said since the last token that something is forbidden
  #told = "" // the newest token that the server has been told on this connection
  #freshRefused = false // the last token was fetched anew, and refused
  #lastError = ""

  #questions = new Map<number, Question>()
  #nextId = 1
  #paces = paces()
  #heard = 0 // when the last frame came
  #probed = 0 // when silence was probed, 0 if it was not since

  #retry: ReturnType<typeof setTimeout> | undefined
  #refresh: ReturnType<typeof setTimeout> | undefined
  #joining: ReturnType<typeof setTimeout> | undefined
  #check: ReturnType<typeof setInterval> | undefined
  readonly #options: ConnectionOptions
  // Cursors of other clients may have 64-bit integers. (The types do not know that option.)
  readonly #decoder = new Decoder({ tagUint8Array: false, useRecords: false, mapsAsObjects: true, int64AsNumber: true } as object)

  constructor(options: ConnectionOptions) {
    super()
    this.#options = options
    this.senderId = options.senderId ?? `client-${randomId()}`
    const url = new URL(options.url, globalThis.location?.href)
    url.protocol = url.protocol.replace("http", "ws")
    this.url = url.href
    globalThis.addEventListener?.("online", this.#hurry)
    globalThis.addEventListener?.("offline", this.#doubt)
    globalThis.document?.addEventListener("visibilitychange", this.#doubt)
    // After the caller could say what it listens to.
    queueMicrotask(() => void this.#connect())
  }

  get state(): State {
    return this.#state
  }

  /** Whether it has been ended for good. */
  get closed(): boolean {
    return this.#closed
  }

  /** The server, while online. */
  get peer(): Peer | undefined {
    return this.#peer
  }

  /** Why, while refused. */
  get refusal(): Refusal | undefined {
    return this.#refusal
  }

  /** Tries at once instead of after a while, also if it was refused. */
  reconnect(): void {
    if (this.#closed || this.#state === "online" || this.#state === "connecting") return
    this.#failures = 0
    this.#freshRefused = false
    void this.#connect()
  }

  /** Ends it for good. What waits for an answer is rejected. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    globalThis.removeEventListener?.("online", this.#hurry)
    globalThis.removeEventListener?.("offline", this.#doubt)
    globalThis.document?.removeEventListener("visibilitychange", this.#doubt)
    clearTimeout(this.#retry)
    this.#drop(1000)
    this.#is("offline")
  }

  /** A token that holds, for calls over HTTP. */
  async token(): Promise<string> {
    if (this.#token && Date.now() < this.#token.until) return this.#token.value
    const value = await this.#options.getToken()
    this.#keep(value)
    return value
  }

  /**
   * Asks something and resolves to the ack; `apply` has it before any later message
   * is looked at. What comes too fast for the server is asked again when it may be.
   * It rejects with an {@link AtriumError}, of code `offline` if the connection is
   * lost before the answer: then it may have had its effect, or not.
   */
  request<T extends keyof Requests>(
    type: T,
    fields: Requests[T][0],
    apply?: (ack: Requests[T][1]) => void,
  ): Promise<Requests[T][1]> {
    return new Promise((resolve, reject) => {
      if (!this.#peer) return reject(offline())
      const question: Question = {
        message: { ...fields, type, id: this.#nextId++ },
        answered: (ack: Requests[T][1]) => {
          apply?.(ack)
          resolve(ack)
        },
        refused: (error) => {
          if (error.code !== "rate_limited") return reject(error)
          this.#ask(question, (error.retryAfterMs ?? 100) * (1 + Math.random()))
        },
      }
      this.#ask(question, this.#paces[isJoin.test(type) ? "joins" : "others"].next())
    })
  }

  /** Says something that needs no answer, and says so if it cannot. */
  note<T extends keyof Notes>(type: T, fields: Notes[T]): boolean {
    return this.send({ ...fields, type })
  }

  /** Sends a message as it is, if it is online. */
  send(message: Outgoing): boolean {
    if (!this.#peer || !this.#socket) return false
    const bytes = encode(message)
    const most = this.#peer.limits.maxMessageBytes
    if (bytes.length > most) {
      this.emit("error", new AtriumError("too_large", `${message.type}: ${bytes.length} bytes are more than ${most}`, false))
      return false
    }
    this.#socket.send(bytes)
    return true
  }

  /** What waits for its turn is lost with the connection, like what waits for an answer. */
  #ask(question: Question, wait: number): void {
    const id = question.message.id!
    this.#questions.set(id, question)
    if (wait > 0) {
      question.turn = setTimeout(() => this.#ask(question, 0), wait)
      return
    }
    if (this.send(question.message)) return
    this.#questions.delete(id)
    question.refused(new AtriumError("too_large", "the message is too large", false))
  }

  readonly #hurry = () => {
    if (this.#state === "offline") this.reconnect()
    else this.#doubt()
  }

  /** Looks whether the connection still is one: the network, or this page, has been away. */
  readonly #doubt = () => {
    if (this.#state === "online") this.#probe()
  }

  #is(state: State): void {
    if (state === this.#state) return
    this.#state = state
    this.emit("state", state)
  }

  async #connect(): Promise<void> {
    if (this.#closed) return
    clearTimeout(this.#retry)
    const attempt = ++this.#attempt
    this.#refusal = undefined
    this.#is("connecting")
    let token: string
    try {
      token = await this.token()
    } catch (error) {
      if (attempt === this.#attempt) this.#comeBack(`getToken: ${error instanceof Error ? error.message : error}`)
      return
    }
    if (this.#closed || attempt !== this.#attempt) return

    let socket: Socket
    try {
      const WebSocket = this.#options.WebSocket ?? (globalThis.WebSocket as unknown as new (url: string) => Socket)
      socket = new WebSocket(this.url)
    } catch (error) {
      this.#comeBack(String(error))
      return
    }
    this.#socket = socket
    socket.binaryType = "arraybuffer"
    this.#joining = setTimeout(() => this.#lose(), joinWithin)
    this.#lastError = ""
    const mine = () => socket === this.#socket
    socket.onopen = () => {
      if (!mine()) return
      this.#told = token
      const peerMetadata = { isEphemeral: true }
      socket.send(encode({ type: "join", senderId: this.senderId, peerMetadata, supportedProtocolVersions: ["1"], token }))
    }
    socket.onmessage = ({ data }: { data: ArrayBuffer }) => mine() && this.#hear(data)
    socket.onerror = () => {} // followed by onclose
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => mine() && this.#ended(code, reason)
  }

  /** What cannot be read may have been anything: a new connection tells what was missed. */
  #hear(data: ArrayBuffer): void {
    try {
      this.#receive(data)
    } catch (error) {
      this.emit("error", new AtriumError("bad_request", `a message that cannot be read: ${error}`, true))
      this.#lose("a message that cannot be read")
    }
  }

  #receive(data: ArrayBuffer): void {
    this.#heard = Date.now()
    this.#probed = 0
    const message = this.#decoder.decode(new Uint8Array(data)) as Incoming
    if (message.type === "peer") return this.#joined(message as unknown as Peer)
    if (message.type !== "ack" && message.type !== "error") {
      this.emit("message", message)
      return
    }
    const question = typeof message.id === "number" ? this.#questions.get(message.id) : undefined
    if (message.type === "ack") {
      question?.answered(message as never) // it stays a question if that fails
      this.#questions.delete(message.id as number)
      return
    }
    if (question) this.#questions.delete(message.id as number)
    const { code, message: text, retryable, retryAfterMs } = message as unknown as AtriumError
    const error = new AtriumError(code as Code, text, retryable, retryAfterMs)
    if (question) return question.refused(error)
    this.#lastError = error.message
    if (error.code === "forbidden") this.#less = true
    if (this.#peer) this.emit("error", error)
  }

  #joined(peer: Peer): void {
    clearTimeout(this.#joining)
    this.#peer = peer
    this.#onlineSince = Date.now()
    this.#freshRefused = false
    this.#check = setInterval(() => this.#listen(), checkEvery)
    this.#refreshLater()
    this.#is("online")
    this.emit("peer", peer)
  }

  /** Ends the socket and tries again later: nobody will say more on this one. */
  #lose(why = "no answer"): void {
    this.#drop(4000)
    this.#comeBack(why)
  }

  #ended(code: number, reason: string): void {
    this.#drop()
    if (reason) this.#lastError = reason
    if (code === unauthenticated) {
      const again = this.#freshRefused
      this.#token = undefined
      this.#freshRefused = true
      if (!again) {
        this.#comeBack(this.#lastError, 0)
        return
      }
    }
    if (code === unauthenticated || final.has(code)) {
      this.#refusal = { closeCode: code, message: this.#lastError || `closed with ${code}` }
      this.#is("refused")
      return
    }
    // Everybody else was sent away at the same moment.
    this.#comeBack(this.#lastError, code === goingAway ? Math.random() * 2_000 : undefined)
  }

  /** Lets go of the socket, with all that was asked over it. */
  #drop(code?: number): void {
    const socket = this.#socket
    const wasOnline = this.#peer !== undefined
    this.#socket = this.#peer = undefined
    this.#attempt++
    clearTimeout(this.#joining)
    clearTimeout(this.#refresh)
    clearInterval(this.#check)
    this.#probed = 0
    if (wasOnline && Date.now() - this.#onlineSince > settled) this.#failures = 0
    if (socket && code !== undefined) {
      try {
        socket.close(code)
      } catch {
        // It was closed before it was open.
      }
    }
    const questions = [...this.#questions.values()]
    this.#questions.clear()
    this.#paces = paces()
    for (const question of questions) {
      clearTimeout(question.turn)
      question.refused(offline())
    }
    if (wasOnline) this.emit("lost")
  }

  #comeBack(why: string, after?: number): void {
    if (this.#closed) return
    if (why) this.#lastError = why
    const most = Math.min(backoff.first * 2 ** this.#failures++, backoff.most)
    this.#retry = setTimeout(() => void this.#connect(), after ?? most * (0.5 + Math.random() / 2))
    this.#is("offline")
  }

  /** Browsers do not tell of the server's pings: silence is found by asking. */
  #listen(): void {
    const now = Date.now()
    if (this.#probed) {
      if (now - this.#probed > probeWithin) this.#lose()
      return
    }
    if (now - this.#heard > (this.#questions.size > 0 ? quiet.asked : quiet.idle)) this.#probe()
  }

  #probe(): void {
    if (this.#probed) return
    this.#probed = Date.now()
    this.request("ping", {}).catch(() => {})
  }

  #keep(value: string): void {
    this.#token = { value, until: Date.now() + refreshIn(life(value)) }
  }

  #refreshLater(): void {
    const until = this.#token?.value === this.#told ? this.#token.until : 0 // a call over HTTP may have fetched another one
    const wait = Math.max(until - Date.now() + 10, 1_000) // timers may be a little early, and would find it too good yet
    this.#refresh = setTimeout(() => void this.#refreshNow(), Math.min(wait, longestTimer))
  }

  async #refreshNow(): Promise<void> {
    const attempt = this.#attempt
    try {
      const token = await this.token()
      if (attempt !== this.#attempt) return
      if (token !== this.#told) {
        this.#told = token
        this.#less = false
        await this.request("auth", { token }, () => this.emit("token", this.#less)) // it comes behind what it ends
      }
    } catch (error) {
      // The old one may hold a little longer; else the server says 4401.
      if (attempt === this.#attempt) this.emit("error", error instanceof AtriumError ? error : new AtriumError("unauthenticated", `getToken: ${error}`, true))
    }
    if (attempt === this.#attempt) this.#refreshLater()
  }
}

export const offline = () => new AtriumError("offline", "there is no connection", true)
