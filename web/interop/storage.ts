// Where a client keeps its documents between two lives.

import type { Chunk, StorageAdapterInterface, StorageKey } from "@automerge/automerge-repo"

type Entries = Map<string, Uint8Array>

const isSyncState = (key: string): boolean => key.split("/")[1] === "sync-state"
const isDocument = (key: string): boolean => ["snapshot", "incremental"].includes(key.split("/")[1] ?? "")

export class MemoryStorage implements StorageAdapterInterface {
  #entries: Entries = new Map()

  async load(key: StorageKey): Promise<Uint8Array | undefined> {
    return this.#entries.get(key.join("/"))
  }

  async save(key: StorageKey, data: Uint8Array): Promise<void> {
    this.#entries.set(key.join("/"), data)
  }

  async remove(key: StorageKey): Promise<void> {
    this.#entries.delete(key.join("/"))
  }

  async loadRange(prefix: StorageKey): Promise<Chunk[]> {
    return this.#under(prefix).map((key) => ({ key: key.split("/"), data: this.#entries.get(key) }))
  }

  async removeRange(prefix: StorageKey): Promise<void> {
    for (const key of this.#under(prefix)) this.#entries.delete(key)
  }

  /** The documents as they are stored now, without the sync states. */
  documents(): Entries {
    return new Map([...this.#entries].filter(([key]) => isDocument(key)))
  }

  /** The stored sync states, encoded. */
  syncStates(): Uint8Array[] {
    return [...this.#entries].filter(([key]) => isSyncState(key)).map(([, data]) => data)
  }

  /**
   * The storage as a new life finds it. With `documents` it lost what it stored of
   * its documents since, but not its sync states: those then tell of changes that
   * the client no longer has.
   */
  reopen(documents?: Entries): MemoryStorage {
    const next = new MemoryStorage()
    const kept = documents ? [...documents, ...[...this.#entries].filter(([key]) => !isDocument(key))] : this.#entries
    next.#entries = new Map(kept)
    return next
  }

  #under(prefix: StorageKey): string[] {
    const start = `${prefix.join("/")}/`
    return [...this.#entries.keys()].filter((key) => key.startsWith(start))
  }
}
