import type { ChatMessage, Room } from "atrium-client"
import { useTyping } from "atrium-client/react"
import { type KeyboardEvent, type RefObject, useId, useRef, useState } from "react"
import { Avatar } from "../shell/avatar.tsx"
import { useCompletion } from "./completion.ts"
import { plainly } from "./content.tsx"
import { authorOf, type Names } from "./names.ts"
import { tooLong, useGrowing } from "./size.ts"

/** What was begun, for each room, for as long as the page is open. */
const drafts = new WeakMap<Room, string>()

interface BoxProps {
  room: Room
  field: RefObject<HTMLTextAreaElement | null>
  names: Names
  me: string
  replyTo?: ChatMessage
  endReply: () => void
  editLast: () => void
}

/** Where one writes. */
export function Box({ room, field, names, me, replyTo, endReply, editLast }: BoxProps) {
  const [text, setText] = useState(drafts.get(room) ?? "")
  const [refused, setRefused] = useState("")
  const { typing } = useTyping(room.roomId)
  const latest = useRef(text)
  const write = (next: string) => {
    latest.current = next
    drafts.set(room, next)
    setText(next)
  }
  const completion = useCompletion(field, names, me, write)
  const { found, chosen, look, take } = completion
  const list = useId()
  const problem = tooLong(text) ?? refused
  const mayBe = text.trim() !== "" && !tooLong(text)
  useGrowing(field, text)

  const send = () => {
    if (!mayBe) return
    write("")
    setRefused("")
    endReply()
    room.send(text, { replyTo: replyTo?.id }).catch((error: Error) => {
      write(latest.current === "" ? text : `${text}\n${latest.current}`)
      setRefused(`Not sent: ${error.message}`)
    })
  }
  const change = (next: string) => {
    write(next)
    setRefused("")
    typing(next !== "")
    look()
  }
  const press = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing || completion.press(event)) return
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault()
      send()
    }
    if (event.key === "ArrowUp" && text === "") {
      event.preventDefault()
      editLast()
    }
    if (event.key === "Escape" && replyTo) {
      event.preventDefault()
      endReply()
    }
  }

  return (
    <form className="box" onSubmit={(event) => (event.preventDefault(), send())}>
      {replyTo && (
        <p className="to">
          <span>
            To {authorOf(replyTo)}: {plainly(replyTo.content, names)}
          </span>
          <button type="button" className="plain" aria-label="Do not reply to it" onClick={endReply}>
            ✕
          </button>
        </p>
      )}
      {problem && (
        <p role="alert" className="problem">
          {problem}
        </p>
      )}
      {found.length > 0 && (
        <ul id={list} role="listbox" aria-label="Whom to mention" className="card">
          {found.map(([userId, name], i) => (
            <li
              key={userId}
              id={`${list}-${i}`}
              role="option"
              aria-selected={i === chosen}
              onMouseDown={(event) => (event.preventDefault(), take(userId))}
            >
              <Avatar userId={userId} name={name} /> {name} <span className="soft">{userId}</span>
            </li>
          ))}
        </ul>
      )}
      <div className="write">
        <textarea
          ref={field}
          aria-label="Message"
          placeholder="Write a message"
          rows={1}
          value={text}
          aria-autocomplete="list"
          aria-controls={found.length > 0 ? list : undefined}
          aria-activedescendant={found.length > 0 ? `${list}-${chosen}` : undefined}
          onChange={(event) => change(event.target.value)}
          onSelect={look}
          onBlur={() => typing(false)}
          onKeyDown={press}
        />
        <button type="submit" className="primary" disabled={!mayBe}>
          Send
        </button>
      </div>
    </form>
  )
}
