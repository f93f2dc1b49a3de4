import type { Notification } from "atrium-client"

/** The page of the room that a notification is about, if it is about one. */
export function pageOf({ data }: Notification): string | undefined {
  const { roomId } = (data ?? {}) as { roomId?: unknown }
  if (roomId === "lobby") return "/"
  if (typeof roomId !== "string" || !roomId.startsWith("document-")) return undefined
  return `/d/${encodeURIComponent(roomId.slice("document-".length))}`
}
