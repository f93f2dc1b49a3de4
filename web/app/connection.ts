// The stock WebSocket adapter, which also tells that only another token helps.

import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket"

const unauthenticated = 4401

export class Connection extends WebSocketClientAdapter {
  #ended = false

  constructor(
    token: string,
    private readonly refused: () => void,
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

  override disconnect(): void {
    this.#ended = true
    if (this.socket) super.disconnect()
  }
}
