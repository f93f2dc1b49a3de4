// A socket without automerge-repo, for what no stock client does.

import { cbor } from "@automerge/automerge-repo"
import WebSocket from "ws"
import { until } from "./wait.ts"

export interface RawMessage {
  type: string
  [field: string]: unknown
}

export class RawSocket {
  readonly messages: RawMessage[] = []
  /** Set once, when the socket has closed. */
  closeCode: number | undefined
  readonly #socket: WebSocket

  constructor(url: string) {
    this.#socket = new WebSocket(url)
    this.#socket.binaryType = "arraybuffer"
    this.#socket.on("message", (data: ArrayBuffer) => this.messages.push(cbor.decode<RawMessage>(new Uint8Array(data))))
    this.#socket.on("close", (code) => (this.closeCode = code))
    this.#socket.on("error", () => {})
  }

  async send(message: RawMessage): Promise<void> {
    await until("the socket opens", () => this.#socket.readyState === WebSocket.OPEN)
    this.#socket.send(cbor.encode(message))
  }

  /** Waits for the first message of a type. */
  async next(type: string): Promise<RawMessage> {
    return until(
      () => `a message of type ${type}; came: ${this.messages.map((message) => message.type).join(" ") || "none"}`,
      () => this.messages.find((message) => message.type === type),
    )
  }

  hangUp(): void {
    this.#socket.terminate()
  }
}
