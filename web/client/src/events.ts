import { EventEmitter } from "eventemitter3"
import type { Connection } from "./connection.ts"
import { guarded } from "./guarded.ts"
import type { Incoming, Told } from "./protocol.ts"

/** What a backend has sent to the user, or to a room that is joined. It is not stored: who is away misses it. */
export interface BackendEvent {
  event: string
  data: unknown
  /** The room, if it was sent to one. */
  roomId?: string
}

/** Events of the application's own backends. */
export class Events {
  readonly #emitter = new EventEmitter<Record<string, (event: BackendEvent) => void>>()

  constructor(connection: Connection) {
    connection.on("message", (message: Incoming) => {
      if (message.type !== "event") return
      const { event, data, roomId } = message as unknown as Told["event"]
      this.#emitter.emit(event, { event, data, ...(roomId !== undefined && { roomId }) })
    })
  }

  /** Calls back for each event of this name, until the returned function is called. */
  on(name: string, listener: (event: BackendEvent) => void): () => void {
    const own = guarded(listener)
    this.#emitter.on(name, own)
    return () => void this.#emitter.off(name, own)
  }
}
