import type { ChatMessage, Member, Room } from "atrium-client"
import { useMemo } from "react"

/** What users are called, by id. */
export type Names = ReadonlyMap<string, string>

/** Those that have been seen in a room: whoever has left can still be mentioned. */
const seen = new WeakMap<Room, Names>()

/** The names of who is or was in a room, and of who has written there; the same object as long as they are the same. */
export function useNames(room: Room, members: readonly Member[], messages: readonly ChatMessage[]): Names {
  return useMemo(() => {
    const before: Names = seen.get(room) ?? new Map()
    const names = new Map(before)
    for (const { user } of messages) if (user.id) names.set(user.id, user.name || user.id)
    for (const { userId, username } of members) names.set(userId, username)
    if (names.size === before.size && [...names].every(([userId, name]) => before.get(userId) === name)) return before
    seen.set(room, names)
    return names
  }, [room, members, messages])
}

/** What a message's author is called. Backends may write in nobody's name. */
export const authorOf = ({ user }: ChatMessage): string => user.name || user.id || "Service"
