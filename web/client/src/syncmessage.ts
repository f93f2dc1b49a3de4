// What of Automerge's sync messages is looked at here. Format: rust/automerge/src/sync.rs
// of automerge/automerge, `Message::decode`.

export interface SyncMessage {
  /** The sender's heads, in hex. */
  heads: string[]
  /** How many entries of changes it has. */
  changes: number
}

/** Reads a message of version 1 or 2; nothing of what is none. */
export function parseSyncMessage(data: Uint8Array): SyncMessage | undefined {
  const reader = new Reader(data)
  try {
    const version = reader.byte()
    if (version !== 0x42 && version !== 0x43) return undefined
    const heads = reader.hashes()
    reader.skipHashes() // need
    for (let have = reader.number(); have > 0; have--) {
      reader.skipHashes()
      reader.skip(reader.number()) // a bloom filter
    }
    return { heads, changes: reader.number() }
  } catch {
    return undefined
  }
}

class Reader {
  #at = 0

  constructor(private readonly data: Uint8Array) {}

  byte(): number {
    const byte = this.data[this.#at++]
    if (byte === undefined) throw new RangeError("the message ends early")
    return byte
  }

  /** An unsigned LEB128. */
  number(): number {
    let value = 0
    for (let shift = 1; ; shift *= 128) {
      const byte = this.byte()
      value += (byte & 127) * shift
      if (byte < 128) return value
      if (shift > 2 ** 42) throw new RangeError("too large a number")
    }
  }

  skip(bytes: number): void {
    this.#at += bytes
    if (this.#at > this.data.length) throw new RangeError("the message ends early")
  }

  skipHashes(): void {
    this.skip(this.number() * 32)
  }

  hashes(): string[] {
    const hashes: string[] = []
    for (let n = this.number(); n > 0; n--) {
      const from = this.#at
      this.skip(32)
      hashes.push(Array.from(this.data.subarray(from, this.#at), (byte) => byte.toString(16).padStart(2, "0")).join(""))
    }
    return hashes
  }
}
