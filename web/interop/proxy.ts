// A TCP proxy in front of the server that fails the way networks do.

import { type AddressInfo, createServer, type Server, type Socket, connect } from "node:net"
import { once } from "node:events"

type Direction = "up" | "down"

interface Pair {
  client: Socket
  server: Socket
}

export async function proxy(port: number): Promise<Proxy> {
  const made = new Proxy(port)
  await made.allow()
  return made
}

export class Proxy {
  #port = 0
  #listener: Server | undefined
  #pairs = new Set<Pair>()
  #left: Record<Direction, number> = { up: Infinity, down: Infinity }

  constructor(private readonly target: number) {}

  get url(): string {
    return `ws://127.0.0.1:${this.#port}/ws`
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
    from.on("data", (data) => {
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
        to.once("drain", () => from.resume())
      }
    })
  }

  #end(pair: Pair): void {
    if (!this.#pairs.delete(pair)) return
    pair.client.destroy()
    pair.server.destroy()
  }
}
