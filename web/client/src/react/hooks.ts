import type { DocHandle } from "@automerge/automerge-repo"
import { useMemo, useRef, useSyncExternalStore } from "react"
import type { Room, RoomState, Typist } from "../chat.ts"
import type { OpenDocument } from "../documents.ts"
import type { Live } from "../live.ts"
import type { Inbox, Notifications } from "../notifications.ts"
import type { CursorUpdate, Member, MetricValue, UserStatus } from "../protocol.ts"
import type { SavedState } from "../saved.ts"
import { useAtrium } from "./context.ts"

/** A live value; it is kept up to date while the component is there. */
function useLive<T>(live: Live<T>): T {
  const read = () => live.value
  return useSyncExternalStore(live.subscribe, read, read)
}

/** A room: what is in it, and what one can do there. */
export function useRoom(roomId: string): RoomState & { room: Room } {
  const room = useAtrium().chat.room(roomId)
  return { ...useLive(room), room }
}

/** Who else is typing in a room, and what to call at each keystroke. */
export function useTyping(roomId: string): { typists: readonly Typist[]; typing: (isTyping?: boolean) => void } {
  const room = useAtrium().chat.room(roomId)
  const { typing: typists } = useLive(room)
  return { typists, typing: useMemo(() => room.typing.bind(room), [room]) }
}

/** Users' statuses by id, of those that are known. */
export function usePresence(userIds: readonly string[]): ReadonlyMap<string, UserStatus> {
  const { presence } = useAtrium()
  const key = JSON.stringify([...new Set(userIds)].sort())
  const users = useMemo(() => (JSON.parse(key) as string[]).map((userId) => presence.user(userId)), [presence, key])
  const subscribe = useMemo(
    () => (listener: () => void) => {
      const ends = users.map((user) => user.subscribe(listener))
      return () => ends.forEach((end) => end())
    },
    [users],
  )
  const last = useRef<ReadonlyMap<string, UserStatus>>(new Map())
  const read = () => {
    const statuses = users.flatMap(({ value }) => (value ? [value] : []))
    const same = statuses.length === last.current.size && statuses.every((status) => last.current.get(status.userId) === status)
    if (!same) last.current = new Map(statuses.map((status) => [status.userId, status]))
    return last.current
  }
  return useSyncExternalStore(subscribe, read, read)
}

/** The user's inbox, and what one can do with it. */
export function useNotifications(): Inbox & Pick<Notifications, "markRead" | "older"> {
  const { notifications } = useAtrium()
  const actions = useMemo(
    () => ({ markRead: notifications.markRead.bind(notifications), older: notifications.older.bind(notifications) }),
    [notifications],
  )
  return { ...useLive(notifications), ...actions }
}

/** A metric's newest value, undefined until one is known. */
export function useMetric(name: string): MetricValue | undefined {
  return useLive(useAtrium().dashboard.metric(name))
}

/** The newest values of all metrics whose names begin so, by name. */
export function useMetrics(prefix: string): ReadonlyMap<string, MetricValue> {
  return useLive(useAtrium().dashboard.metrics(prefix))
}

/** Who has a document open, where they are in it, and how to say where the user is. */
export function useCursors(documentId: string): {
  users: readonly Member[]
  cursors: ReadonlyMap<string, CursorUpdate>
  move: OpenDocument["move"]
} {
  const document = useAtrium().documents.open(documentId)
  const { users, cursors } = useLive(document)
  return { users, cursors, move: useMemo(() => document.move.bind(document), [document]) }
}

/** Whether the newest state of a document is on the server's disk. */
export function useSaved(handle: DocHandle<any>): SavedState {
  return useLive(useAtrium().documents.saved(handle))
}
