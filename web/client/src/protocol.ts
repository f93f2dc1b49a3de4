// The messages that this package sends and receives, as docs/protocol.md has
// them. Times are RFC 3339 in UTC, hashes are hex.

export type Access = "read" | "write"
export type Status = "online" | "away" | "busy" | "offline"

/** Who somebody is, from their token. */
export interface User {
  id: string
  name: string
  avatar: string
}

/** Somebody in a room or a document, with so many sessions there. */
export interface Member {
  userId: string
  username: string
  avatar: string
  sessions: number
}

/** Where somebody is in a document: a point, any value that applications agree on, or both. */
export interface Place {
  x?: number
  y?: number
  cursor?: unknown
}

/** A session's cursor; without a place it has gone. */
export interface CursorUpdate extends Place {
  userId: string
  username: string
  sessionId: string
}

export interface ChatMessage {
  id: string
  roomId: string
  /** Counts up by one in each room; edits and deletions take the next one, too. */
  seq: number
  content: string
  user: User
  createdAt: string
  clientId?: string
  /** A message's id. */
  replyTo?: string
  editedAt?: string
  deleted?: boolean
}

export interface RoomSummary {
  roomId: string
  lastSeq: number
  readSeq: number
  unread: number
  /** With the first KiB of its content; null if all there was are joins. */
  lastMessage: ChatMessage | null
}

export interface Notification {
  id: string
  /** Counts up by one for each user, without gaps. */
  seq: number
  /** For programs. */
  kind: string
  title: string
  body: string
  data: unknown
  createdAt: string
  read: boolean
}

export interface UserStatus {
  userId: string
  status: Status
  /** null for who was never seen. */
  lastSeen: string | null
}

export interface MetricValue {
  metric: string
  value: unknown
  timestamp: string
}

/** What the server says of itself, and of who has joined. */
export interface Peer {
  type: "peer"
  senderId: string
  sessionId: string
  user: User
  serverVersion: string
  peerMetadata: { storageId: string; isEphemeral: boolean }
  limits: { maxMessageBytes: number; messagesPerSecond: number; cursorsPerSecond: number }
}

/** What one in a room is told in the order of its seq. */
export type RoomEvent =
  | ({ type: "chat:message" } & ChatMessage)
  | { type: "chat:edited"; roomId: string; seq: number; messageId: string; content: string; userId: string; editedAt: string }
  | { type: "chat:deleted"; roomId: string; seq: number; messageId: string; userId: string; deletedAt: string }

interface RoomJoined {
  lastSeq: number
  messages: (RoomEvent | ChatMessage)[]
  members: Member[]
  memberCount: number
  readSeq: number
  unread: number
  truncated?: boolean
}

/** Which notifications are meant. */
export type Which = { notificationId: string } | { notificationIds: string[] } | { all: true }

/** What a client may ask: the fields of each message, and those of its ack. */
export interface Requests {
  ping: [{}, {}]
  auth: [{ token: string }, {}]
  "collab:join_document": [{ documentId: string }, { access: Access; users: Member[]; heads: string[] }]
  "collab:leave_document": [{ documentId: string }, {}]
  "chat:join": [{ roomId: string; since?: number }, RoomJoined]
  "chat:leave": [{ roomId: string }, {}]
  "chat:message": [{ roomId: string; message: string; clientId?: string; replyTo?: string }, { message: ChatMessage }]
  "chat:edit": [{ roomId: string; messageId: string; message: string }, { seq?: number }]
  "chat:delete": [{ roomId: string; messageId: string }, { seq?: number }]
  "chat:read": [{ roomId: string; seq: number }, { unread: number }]
  "chat:history": [{ roomId: string; before?: number; after?: number; limit?: number }, { messages: ChatMessage[]; more: boolean }]
  "chat:rooms": [{}, { rooms: RoomSummary[]; more: boolean }]
  "notification:list": [
    { before?: string | number; limit?: number; unreadOnly?: boolean },
    { notifications: Notification[]; unread: number; more: boolean },
  ]
  "notification:mark_read": [Which, { unread: number }]
  "presence:subscribe": [{ userIds: string[] }, { users: UserStatus[] }]
  "presence:unsubscribe": [{ userIds: string[] }, {}]
  "presence:set": [{ status: Exclude<Status, "offline"> }, {}]
  "dashboard:subscribe": [{ metrics: string[] }, { values: MetricValue[]; truncated?: boolean }]
  "dashboard:unsubscribe": [{ metrics: string[] }, {}]
}

/** What a client says without waiting for an answer. */
export interface Notes {
  "collab:cursor_move": { documentId: string } & Place
  "chat:typing": { roomId: string; isTyping: boolean }
}

/** What the server tells of its own accord. */
export interface Told {
  "collab:active_users": { documentId: string; users: Member[] }
  "collab:user_joined": { documentId: string; userId: string; username: string }
  "collab:user_left": { documentId: string; userId: string; username: string }
  "collab:cursor_update": { documentId: string; updates: CursorUpdate[] }
  "doc-unavailable": { documentId: string }
  sync: { documentId: string; data: Uint8Array }
  ephemeral: { documentId: string; senderId: string; sessionId: string; count: number; data: Uint8Array }
  "chat:message": RoomEvent
  "chat:edited": RoomEvent
  "chat:deleted": RoomEvent
  "chat:typing": { roomId: string; userId: string; username: string; isTyping: boolean }
  "chat:user_joined": { roomId: string; userId: string; username: string }
  "chat:user_left": { roomId: string; userId: string; username: string }
  "chat:read": { roomId: string; seq: number; unread: number }
  "notification:new": Omit<Notification, "read"> & { unread: number }
  "notification:read": { notificationId?: string; notificationIds?: string[]; all?: boolean; unread: number }
  "presence:update": UserStatus
  "dashboard:update": MetricValue
  event: { event: string; data: unknown; roomId?: string }
}

export type Code =
  | "bad_request"
  | "unauthenticated"
  | "forbidden"
  | "not_found"
  | "conflict"
  | "too_large"
  | "rate_limited"
  | "unavailable"
  | "internal"
  /** There is no connection, or it was lost before the answer. Of this package, not the server's. */
  | "offline"
  /** Too much waits for a connection. Of this package, not the server's. */
  | "queue_full"

/** A request that was refused. */
export class AtriumError extends Error {
  override readonly name = "AtriumError"

  constructor(
    readonly code: Code,
    message: string,
    /** Whether the same may succeed later. */
    readonly retryable: boolean,
    /** How long to wait before that, if the server said it. */
    readonly retryAfterMs?: number,
  ) {
    super(message)
  }
}

/** A frame as it is sent. */
export type Outgoing = { type: string; id?: number } & Record<string, unknown>
/** A frame as it comes; of a known type, the fields are those above. */
export type Incoming = { type: string; id?: string | number } & Record<string, unknown>
