/** A change, as the server's log has it. */
export interface Change {
  position: number
  hash: string
  deps: string[]
  userId: string
  storedAt: string
  message?: string
}

/** What somebody did in one go, and the document's state after it. */
export interface Version {
  /** Hashes whose past is that state. Some may be in the past of others. */
  heads: string[]
  position: number
  userId: string
  begun: string
  ended: string
  changes: number
  message?: string
}

/** Who pauses for longer begins a new version. */
const pause = 5 * 60_000

/**
 * Puts changes, the newest first, together to versions. Top are the heads of the whole
 * log. What has several authors at once has several heads: before a change, what
 * it builds on takes its place among them.
 */
export function versions(changes: readonly Change[], top: readonly string[]): Version[] {
  const made: Version[] = []
  const heads = new Set(top)
  for (const { hash, deps, message, position, storedAt, userId } of changes) {
    heads.add(hash) // newer than top
    const last = made.at(-1)
    const sameGo =
      last && last.userId === userId && !last.message && !message && Date.parse(last.begun) - Date.parse(storedAt) < pause
    if (sameGo) {
      last.begun = storedAt
      last.changes++
    } else {
      made.push({ heads: [...heads], position, userId, begun: storedAt, ended: storedAt, changes: 1, message })
    }
    heads.delete(hash)
    for (const dep of deps) heads.add(dep)
  }
  return made
}
