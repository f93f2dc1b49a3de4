import type { ChatMessage, Room, RoomState } from "atrium-client"
import { useConnection } from "atrium-client/react"
import { Fragment, memo, useEffect, useMemo, useRef, useState } from "react"
import { Avatar } from "../shell/avatar.tsx"
import { Content } from "./content.tsx"
import { Message } from "./message.tsx"
import type { Names } from "./names.ts"
import { useStaying } from "./staying.ts"
import { clock, timeline } from "./timeline.ts"

type Known = Pick<RoomState, "status" | "messages" | "pending" | "more" | "unread">

interface MessagesProps extends Known {
  room: Room
  me: { userId: string; name: string }
  names: Names
  /** The seq behind which all is marked as new. */
  mark?: number
  editing?: string
  edit: (message: ChatMessage) => void
  end: () => void
  reply: (message: ChatMessage) => void
  /** Told whether the newest message is in sight. */
  onEnd: (atEnd: boolean) => void
}

/** What has been said in a room, the newest below. */
export const Messages = memo(function Messages(props: MessagesProps) {
  const { room, status, messages, pending, more, unread, me, names, mark, editing, edit, end, reply, onEnd } = props
  const list = useRef<HTMLDivElement>(null)
  const lines = useMemo(() => timeline(messages, mark, me.userId), [messages, mark, me.userId])
  const byId = useMemo(() => new Map(messages.map((message) => [message.id, message])), [messages])
  const rows = useMemo(() => ({ lines, pending }), [lines, pending])
  const { atEnd, look, toEnd } = useStaying(list, rows)
  const { older, loading } = useOlder(room)
  useEffect(() => onEnd(atEnd), [onEnd, atEnd])

  const waiting = pending.length
  const waited = useRef(waiting)
  useEffect(() => {
    if (waiting > waited.current) toEnd() // who writes wants to see it
    waited.current = waiting
  }, [waiting, toEnd])

  const scrolled = () => {
    look()
    if (list.current!.scrollTop < 160 && more && !atEnd) void older()
  }
  return (
    <div className="said">
      <div ref={list} className="messages" role="log" aria-label="Messages" aria-busy={loading} tabIndex={0} onScroll={scrolled}>
        <div>
          {more && (
            <button type="button" className="plain older" onClick={() => void older()}>
              {loading ? "Loading…" : "Older messages"}
            </button>
          )}
          {status === "joined" && messages.length + waiting === 0 && <p className="empty soft">Nobody has written here yet.</p>}
          {status === "forbidden" && <p className="empty soft">You may not read what is said here.</p>}
          {lines.map(({ message, day, isNew, headed }) => (
            <Fragment key={message.id}>
              {day && <p className="day">{day}</p>}
              {isNew && <p className="day new">New</p>}
              <Message
                message={message}
                headed={headed}
                to={message.replyTo ? byId.get(message.replyTo) : undefined}
                names={names}
                me={me.userId}
                room={room}
                editing={editing === message.id}
                edit={edit}
                end={end}
                reply={reply}
              />
            </Fragment>
          ))}
          {pending.map(({ clientId, content, createdAt }, i) => (
            <div key={clientId} className={i === 0 ? "message headed" : "message"}>
              {i === 0 ? <Avatar userId={me.userId} name={me.name} /> : <span className="aside" />}
              <div className="body">
                {i === 0 && (
                  <div className="by">
                    <b>{me.name}</b> <time dateTime={createdAt}>{clock(createdAt)}</time>
                  </div>
                )}
                <p className="pending">
                  <Content text={content} names={names} me={me.userId} />
                </p>
                {i === waiting - 1 && <Waiting />}
              </div>
            </div>
          ))}
        </div>
      </div>
      {!atEnd && unread > 0 && (
        <button type="button" className="primary newer" onClick={toEnd}>
          {unread === 1 ? "1 new message" : `${unread} new messages`} ↓
        </button>
      )}
    </div>
  )
})

function Waiting() {
  const state = useConnection()
  return <small>{state === "online" ? "Sending…" : "Waiting for the connection"}</small>
}

/** Asks for older messages, one page at a time. */
function useOlder(room: Room) {
  const [loading, setLoading] = useState(false)
  const busy = useRef(false)
  const older = async () => {
    if (busy.current) return
    busy.current = true
    setLoading(true)
    // Without a connection the button stays for another try.
    await room.older().catch(() => {})
    busy.current = false
    setLoading(false)
  }
  return { older, loading }
}
