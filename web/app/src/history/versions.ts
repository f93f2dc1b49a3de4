/** A change, as the server's log has it. */
export interface Change {
  position: number
  hash: string
  deps: string[]
  userId: string
  storedAt: string
  message?: string
}

/** What somebody did in one go, or several did together, and the document's state after it. */
export interface Version {
  /** Hashes whose past is that state. Some may be in the past of others. */
  heads: string[]
  position: number
  userIds: string[]
  begun: string
  ended: string
  changes: number
  message?: string
}

/** Who pauses for longer begins a new version. */
const pause = 5 * 60_000
/** Who goes on this soon, with others in between, writes together with them. */
const together = 60_000

/**
 * Puts changes, the newest first, together to versions. Top are the heads of the whole
 * log. What has several authors at once has several heads: before a change, what
 * it builds on takes its place among them.
 */
export function versions(changes: readonly Change[], top: readonly string[]): Version[] {
  const made: Version[] = []
  const builtOn = new Set(changes.flatMap(({ deps }) => deps))
  const newer = changes.filter(({ hash }) => !builtOn.has(hash)) // what came while the heads were asked for
  const heads = new Set([...top, ...newer.map(({ hash }) => hash)])
  for (const { hash, deps, message, position, storedAt, userId } of changes) {
    const one = { heads: [...heads], position, userIds: [userId], begun: storedAt, ended: storedAt, changes: 1, message }
    const at = made.findLastIndex(({ userIds }) => userIds.includes(userId))
    const gap = at < 0 ? Infinity : Date.parse(made[at]!.begun) - Date.parse(storedAt)
    const sameGo = gap < (at === made.length - 1 ? pause : together) && [one, ...made.slice(at)].every(({ message }) => !message)
    made.push(sameGo ? [...made.splice(at), one].reduce(both) : one)
    heads.delete(hash)
    for (const dep of deps) heads.add(dep)
  }
  return made
}

const both = (newer: Version, older: Version): Version => ({
  ...newer,
  userIds: [...new Set([...newer.userIds, ...older.userIds])],
  begun: older.begun,
  changes: newer.changes + older.changes,
})
