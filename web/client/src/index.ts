/**
 * A client of an Atrium server: documents, chat, presence, notifications and
 * dashboards over one WebSocket.
 */
export { type Chat, type Pending, type Room, type RoomState, type Typist } from "./chat.ts"
export { type Client, connect, type Options } from "./client.ts"
export type { Refusal, Socket, State } from "./connection.ts"
export type { Dashboard, Metric, Metrics } from "./dashboard.ts"
export type { Documents, DocumentState, OpenDocument } from "./documents.ts"
export type { BackendEvent, Events } from "./events.ts"
export type { Live } from "./live.ts"
export type { Inbox, Notifications } from "./notifications.ts"
export type { Presence, UserPresence } from "./presence.ts"
export {
  type Access,
  AtriumError,
  type ChatMessage,
  type Code,
  type CursorUpdate,
  type Member,
  type MetricValue,
  type Notification,
  type Place,
  type RoomEvent,
  type RoomSummary,
  type Status,
  type User,
  type UserStatus,
} from "./protocol.ts"
export type { Saved, SavedState } from "./saved.ts"
