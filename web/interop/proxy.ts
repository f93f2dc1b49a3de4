// A TCP proxy in front of the server that fails the way networks do.

import { type AddressInfo, createServer, type Server, type Socket, connect } from "node:net"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"

type Direction = "up" | "down"

interface Pair {
  client: Socket
  server: Socket
}

export async function proxy(port: number): Promise<Proxy> {
  const made = new Proxy(port)
  await made.allow()
  all.add(made)
  return made
}

const all = new Set<Proxy>()

/** Ends every proxy that there is. */
export const refuseAll = (): void => all.forEach((one) => one.refuse())

export class Proxy {
  #port = 0
  #listener: Server | undefined
  #pairs = new Set<Pair>()
  #left: Record<Direction, number> = { up: Infinity, down: Infinity }

  constructor(private readonly target: number) {}

  /** How long each piece of data is held back, in milliseconds; order stays. */
  delay: () => number = () => 0
  #stalled = false

  get url(): string {
    return `ws://127.0.0.1:${this.#port}/ws`
  }

  get http(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Lets nothing through, in either direction, and cuts nothing: as a network does that has gone. */
  stall(): void {
    this.#stalled = true
    for (const { client, server } of this.#pairs) [client, server].forEach((socket) => socket.pause())
  }

  /** Ends stalling. */
  resume(): void {
    this.#stalled = false
    for (const { client, server } of this.#pairs) [client, server].forEach((socket) => socket.resume())
  }

  /** Accepts connections, again if it had refused them, on the same port. */
  async allow(): Promise<void> {
    if (this.#listener) return
    this.#listener = createServer((client) => this.#join(client))
    this.#listener.listen(this.#port, "127.0.0.1")
    await once(this.#listener, "listening")
    this.#port = (this.#listener.address() as AddressInfo).port
  }

  /** Cuts what is open and refuses what comes, until allowed again. */
  refuse(): void {
    this.#listener?.close()
    this.#listener = undefined
    this.cut()
  }

  /** Cuts every open connection, both halves. */
  cut(): void {
    for (const pair of this.#pairs) this.#end(pair)
    this.#left = { up: Infinity, down: Infinity }
  }

  /** Lets so many more bytes through in one direction, then cuts: likely in the middle of a frame. */
  cutAfter(direction: Direction, bytes: number): void {
    this.#left[direction] = bytes
  }

  #join(client: Socket): void {
    const pair = { client, server: connect(this.target, "127.0.0.1") }
    this.#pairs.add(pair)
    for (const socket of [pair.client, pair.server]) {
      socket.setNoDelay(true)
      socket.on("error", () => this.#end(pair))
      socket.on("close", () => this.#end(pair))
    }
    this.#forward("up", pair, pair.client, pair.server)
    this.#forward("down", pair, pair.server, pair.client)
  }

  #forward(direction: Direction, pair: Pair, from: Socket, to: Socket): void {
    if (this.#stalled) from.pause()
    let last = Promise.resolve()
    let held = 0
    from.on("data", (data) => {
      const wait = this.delay()
      if (wait === 0 && held === 0) return this.#pass(direction, pair, from, to, data)
      held++
      last = last.then(() => sleep(wait)).then(() => {
        held--
        this.#pass(direction, pair, from, to, data)
      })
    })
  }

  #pass(direction: Direction, pair: Pair, from: Socket, to: Socket, data: Buffer): void {
    if (!this.#pairs.has(pair)) return
    const part = data.subarray(0, Math.min(data.length, this.#left[direction]))
    this.#left[direction] -= part.length
    if (part.length < data.length) {
      this.#left[direction] = Infinity
      from.pause() // nothing may follow the gap
      to.write(part, () => this.#end(pair))
      return
    }
    if (!to.write(part)) {
      from.pause()
      to.once("drain", () => this.#stalled || from.resume())
    }
  }

  #end(pair: Pair): void {
    if (!this.#pairs.delete(pair)) return
    pair.client.destroy()
    pair.server.destroy()
  }
}
