// The stock WebSocket adapter, which also tells that only another token helps,
// and of notifications, which share the connection.

import { cbor } from "@automerge/automerge-repo/slim"
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket"

const unauthenticated = 4401

export interface Notification {
  type: "notification:new"
  id: string
  title: string
  body?: string
}

export class Connection extends WebSocketClientAdapter {
  #ended = false

  constructor(
    token: string,
    private readonly refused: () => void,
    private readonly notified: (notification: Notification) => void,
  ) {
    super(`${location.origin.replace("http", "ws")}/ws?token=${encodeURIComponent(token)}`, 2_000)
  }

  override connect(...args: Parameters<WebSocketClientAdapter["connect"]>): void {
    if (this.#ended) return // the timer of a retry outlives disconnect()
    super.connect(...args)
    this.socket?.addEventListener("close", ({ code }) => {
      if (code !== unauthenticated || this.#ended) return
      this.#ended = true
      this.refused()
    })
  }

  override receiveMessage(bytes: Uint8Array): void {
    const message = cbor.decode<{ type: string }>(new Uint8Array(bytes)) // an ArrayBuffer, whatever its type says
    if (message.type === "notification:new") this.notified(message as Notification)
    else super.receiveMessage(bytes)
  }

  override disconnect(): void {
    this.#ended = true
    if (this.socket) super.disconnect()
  }
}
