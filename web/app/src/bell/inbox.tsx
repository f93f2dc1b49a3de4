import type { Notification } from "atrium-client"
import type { useNotifications } from "atrium-client/react"
import { useEffect, useRef, useState } from "react"
import { useLocation } from "wouter"
import { plainly } from "../chat/content.tsx"
import type { Names } from "../chat/names.ts"
import { Ago } from "../shell/ago.tsx"
import { useWorkspace } from "../workspace.ts"
import { pageOf } from "./target.ts"

interface InboxProps {
  id: string
  inbox: ReturnType<typeof useNotifications>
  close: () => void
}

/** All notifications, the newest first. */
export function Inbox({ id, inbox, close }: InboxProps) {
  const { me } = useWorkspace()
  const { loaded, notifications, unread, more, markRead, older } = inbox
  const [problem, setProblem] = useState("")
  const [loading, setLoading] = useState(false)
  const panel = useRef<HTMLElement>(null)
  const [, goTo] = useLocation()
  useEffect(() => panel.current!.focus(), [])

  const mark = (which: string | "all") => {
    setProblem("")
    markRead(which).catch((error: Error) => setProblem(`Not marked: ${error.message}`))
  }
  const take = (notification: Notification) => {
    if (!notification.read) mark(notification.id)
    const page = pageOf(notification)
    if (!page) return
    goTo(page)
    close()
  }
  const markAll = () => {
    panel.current!.focus() // the button has nothing to do any more
    mark("all")
  }
  const loadOlder = async () => {
    if (loading) return
    setLoading(true)
    setProblem("")
    await older().catch((error: Error) => setProblem(`Older ones did not come: ${error.message}`))
    setLoading(false)
  }

  const names = new Map([[me.userId, me.name]])
  return (
    <section id={id} ref={panel} className="card inbox" role="dialog" aria-label="Notifications" tabIndex={-1}>
      <header>
        <h2>Notifications</h2>
        <button type="button" className="plain" disabled={unread === 0} onClick={markAll}>
          Mark all as read
        </button>
      </header>
      {problem && (
        <p role="alert" className="problem">
          {problem}
        </p>
      )}
      {notifications.length === 0 && (
        <p className="empty soft">{loaded ? "You have no notifications." : "Waiting for the server…"}</p>
      )}
      <ul>
        {notifications.map((notification) => (
          <li key={notification.id}>
            <Item notification={notification} names={names} take={take} />
          </li>
        ))}
      </ul>
      {more && (
        <button type="button" className="plain older" onClick={() => void loadOlder()}>
          {loading ? "Loading…" : "Older"}
        </button>
      )}
    </section>
  )
}

interface ItemProps {
  notification: Notification
  names: Names
  take: (notification: Notification) => void
}

function Item({ notification, names, take }: ItemProps) {
  const { kind, title, body, createdAt, read } = notification
  return (
    <button type="button" className={read ? "item" : "item unread"} onClick={() => take(notification)}>
      <span className="about">
        {!read && <span className="visually-hidden">Unread: </span>}
        <span>{kind}</span> <Ago time={createdAt} />
      </span>
      <b>{title}</b>
      {body && <span className="text">{plainly(body, names)}</span>}
      {pageOf(notification) && <span className="go">Go there</span>}
    </button>
  )
}
