import type { ChatMessage, Member } from "atrium-client"
import { useMemo } from "react"

/** What users are called, by id. */
export type Names = ReadonlyMap<string, string>

/** The names of who is in a room, and of who has written there; the same object as long as they are the same. */
export function useNames(members: readonly Member[], messages: readonly ChatMessage[]): Names {
  const key = useMemo(() => {
    const names = new Map<string, string>()
    for (const { user } of messages) if (user.id) names.set(user.id, user.name)
    for (const { userId, username } of members) names.set(userId, username)
    return JSON.stringify([...names])
  }, [members, messages])
  return useMemo(() => new Map(JSON.parse(key) as [string, string][]), [key])
}

/** What a message's author is called. Backends may write in nobody's name. */
export const authorOf = ({ user }: ChatMessage): string => user.name || user.id || "Service"
