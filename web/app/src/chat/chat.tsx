import type { ChatMessage } from "atrium-client"
import { useRoom } from "atrium-client/react"
import { type KeyboardEvent, useCallback, useEffect, useId, useRef, useState } from "react"
import { useUnread } from "../shell/title.ts"
import { useWorkspace } from "../workspace.ts"
import { useAttention } from "./attention.ts"
import { Box } from "./box.tsx"
import { Messages } from "./messages.tsx"
import { useNames } from "./names.ts"
import { isNarrow, useOpen } from "./open.ts"
import { People } from "./people.tsx"
import { useMark } from "./read.ts"
import "./chat.css"

/** The talk of a room, beside the page. */
export function Chat({ roomId }: { roomId: string }) {
  const { me } = useWorkspace()
  const { room, status, messages, pending, members, memberCount, typing, unread, more, readSeq, lastSeq } = useRoom(roomId)
  const names = useNames(room, members, messages)
  const { open, toggle, toggler } = useOpen(() => field.current)
  const [who, setWho] = useState(false)
  const [editing, setEditing] = useState<string>()
  const [replyTo, setReplyTo] = useState<ChatMessage>()
  const [atEnd, setAtEnd] = useState(true)
  const field = useRef<HTMLTextAreaElement>(null)
  const here = useRef<HTMLButtonElement>(null)
  const attention = useAttention()
  const { mark, unmark } = useMark({ room, status, unread, readSeq, lastSeq, watched: open && atEnd && attention })
  const [panel, people] = [useId(), useId()]
  useUnread("chat", unread)

  const waiting = pending.length > 0
  useEffect(() => {
    if (waiting) unmark()
  }, [waiting, unmark])

  const edit = useCallback((message: ChatMessage) => setEditing(message.id), [])
  const end = useCallback(() => {
    setEditing(undefined)
    field.current?.focus()
  }, [])
  const reply = useCallback((message: ChatMessage) => {
    setReplyTo(message)
    field.current?.focus()
  }, [])
  const endReply = useCallback(() => setReplyTo(undefined), [])
  const editLast = () => setEditing(messages.findLast(({ user, deleted }) => user.id === me.userId && !deleted)?.id)
  const leave = ({ key, defaultPrevented }: KeyboardEvent) => {
    if (key !== "Escape" || defaultPrevented) return
    if (who) {
      setWho(false)
      here.current!.focus()
    } else if (open && isNarrow()) toggle()
  }

  return (
    <aside className={open ? "chat" : "chat closed"} aria-label="Chat" onKeyDown={leave}>
      <header>
        <h2>Chat</h2>
        {open && memberCount > 0 && (
          <button
            type="button"
            ref={here}
            aria-expanded={who}
            aria-controls={people}
            title={members.slice(0, 20).map(({ username }) => username).join(", ")}
            onClick={() => setWho(!who)}
          >
            {memberCount} here
          </button>
        )}
        <button type="button" ref={toggler} className="toggle" aria-expanded={open} aria-controls={panel} onClick={toggle}>
          {open ? "Hide" : "Chat"}
          {open && <span className="visually-hidden"> the chat</span>}
          {!open && unread > 0 && (
            <>
              {" "}
              <span className="badge">{unread}</span>
              <span className="visually-hidden"> unread</span>
            </>
          )}
        </button>
      </header>
      <div id={panel} className="panel" hidden={!open}>
        {who && <People id={people} members={members} count={memberCount} me={me.userId} />}
        <Messages
          {...{ room, status, messages, pending, more, unread, me, names, mark, editing, edit, end, reply }}
          onEnd={setAtEnd}
        />
        <p className="typing" aria-live="polite">
          {typingLine(typing.map(({ username }) => username))}
        </p>
        {status !== "forbidden" && (
          <Box {...{ room, field, names, replyTo, endReply, editLast }} me={me.userId} />
        )}
      </div>
    </aside>
  )
}

function typingLine(names: string[]): string {
  if (names.length === 0) return ""
  if (names.length > 3) return "Several people are typing…"
  return `${new Intl.ListFormat(undefined).format(names)} ${names.length === 1 ? "is" : "are"} typing…`
}
