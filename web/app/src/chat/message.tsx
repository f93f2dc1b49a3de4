import type { ChatMessage, Room } from "atrium-client"
import { type KeyboardEvent, memo, useEffect, useRef, useState } from "react"
import { Avatar } from "../shell/avatar.tsx"
import { Content, mentions, plainly } from "./content.tsx"
import { authorOf, type Names } from "./names.ts"
import { tooLong, useGrowing } from "./size.ts"
import { clock, fullTime, shortClock } from "./timeline.ts"

export interface MessageProps {
  message: ChatMessage
  headed: boolean
  /** What it replies to, if that is known. */
  to?: ChatMessage
  names: Names
  me: string
  room: Room
  editing: boolean
  edit: (message: ChatMessage) => void
  /** Called when something is done, or given up: the focus goes elsewhere. */
  end: () => void
  reply: (message: ChatMessage) => void
}

/** A message, with what one can do with it. */
export const Message = memo(function Message(props: MessageProps) {
  const { message, headed, to, names, me, room, editing, edit, end, reply } = props
  const { id, content, createdAt, deleted, editedAt, user } = message
  const [asking, setAsking] = useState(false)
  const [saving, setSaving] = useState<string>()
  const [problem, setProblem] = useState("")
  const author = authorOf(message)
  const own = user.id === me

  const save = async (text: string) => {
    end()
    setProblem("")
    if (text === content) return
    setSaving(text)
    try {
      await room.edit(id, text)
    } catch (error) {
      setProblem(`Not changed: ${(error as Error).message}`)
    }
    setSaving(undefined)
  }
  const keep = () => {
    setAsking(false)
    end()
  }
  const remove = () => {
    keep()
    setProblem("")
    room.delete(id).catch((error: Error) => setProblem(`Not deleted: ${error.message}`))
  }

  return (
    <div className={`message${headed ? " headed" : ""}${mentions(content, me) ? " to-me" : ""}`} data-id={id}>
      {headed ? (
        <Avatar userId={user.id || author} name={author} picture={user.avatar} />
      ) : (
        <time className="aside" dateTime={createdAt} title={fullTime(createdAt)}>
          {shortClock(createdAt)}
        </time>
      )}
      <div className="body">
        {headed && (
          <div className="by">
            <b>{author}</b>{" "}
            <time dateTime={createdAt} title={fullTime(createdAt)}>
              {clock(createdAt)}
            </time>
          </div>
        )}
        {message.replyTo && (
          <p className="to">
            {to ? `${authorOf(to)}: ${to.deleted ? "deleted" : plainly(to.content, names)}` : "To an earlier message"}
          </p>
        )}
        {deleted && <p className="gone">This message was deleted.</p>}
        {!deleted && editing && <EditForm content={content} save={save} cancel={end} />}
        {!deleted && !editing && (
          <p className={saving === undefined ? undefined : "pending"}>
            <Content text={saving ?? content} names={names} me={me} />
            {saving !== undefined && <small> (saving…)</small>}
            {editedAt && saving === undefined && <small title={`Edited ${fullTime(editedAt)}`}> (edited)</small>}
          </p>
        )}
        {asking && <Ask remove={remove} keep={keep} />}
        {problem && (
          <p role="alert" className="problem">
            {problem}
          </p>
        )}
      </div>
      {!deleted && !editing && !asking && (
        <div className="actions">
          <button type="button" onClick={() => reply(message)}>
            Reply
          </button>
          {own && (
            <>
              <button type="button" onClick={() => edit(message)}>
                Edit
              </button>
              <button type="button" onClick={() => setAsking(true)}>
                Delete
              </button>
            </>
          )}
        </div>
      )}
    </div>
  )
})

/** A message of one's own, while it is changed. */
function EditForm({ content, save, cancel }: { content: string; save: (text: string) => void; cancel: () => void }) {
  const [text, setText] = useState(content)
  const field = useRef<HTMLTextAreaElement>(null)
  const problem = tooLong(text)
  useGrowing(field, text)
  const mayBe = text.trim() !== "" && !problem
  useEffect(() => {
    field.current!.focus()
    field.current!.setSelectionRange(content.length, content.length)
  }, [content])
  const press = (event: KeyboardEvent) => {
    if (event.key === "Escape") {
      event.preventDefault()
      cancel()
    }
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault()
      if (mayBe) save(text)
    }
  }
  return (
    <form className="edit" onKeyDown={press} onSubmit={(event) => (event.preventDefault(), save(text))}>
      <textarea
        ref={field}
        aria-label="Change the message"
        rows={1}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      {problem && (
        <p role="alert" className="problem">
          {problem}
        </p>
      )}
      <div className="choices">
        <button type="button" onClick={cancel}>
          Cancel
        </button>
        <button type="submit" className="primary" disabled={!mayBe}>
          Save
        </button>
      </div>
    </form>
  )
}

function Ask({ remove, keep }: { remove: () => void; keep: () => void }) {
  const first = useRef<HTMLButtonElement>(null)
  useEffect(() => first.current!.focus(), [])
  const press = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return
    event.preventDefault()
    keep()
  }
  return (
    <div className="ask" role="group" aria-label="Delete this message?" onKeyDown={press}>
      <span>Delete this message?</span>
      <div className="choices">
        <button type="button" onClick={keep}>
          Keep it
        </button>
        <button type="button" ref={first} className="danger" onClick={remove}>
          Delete
        </button>
      </div>
    </div>
  )
}
