import type { Notification } from "atrium-client"
import { useAtrium } from "atrium-client/react"
import { useEffect, useState } from "react"
import { plainly } from "../chat/content.tsx"
import { useWorkspace } from "../workspace.ts"

const lasting = 8_000
const atMost = 3

/** What has just come, for some seconds, while the inbox is closed. */
export function Toasts({ quiet, show }: { quiet: boolean; show: () => void }) {
  const { notifications } = useAtrium()
  const { me } = useWorkspace()
  const [toasts, setToasts] = useState<readonly Notification[]>([])

  useEffect(() => {
    if (quiet) return
    const timers = new Set<ReturnType<typeof setTimeout>>()
    const leave = notifications.on((notification) => {
      setToasts((others) => [...others, notification].slice(-atMost))
      timers.add(setTimeout(() => setToasts((all) => all.filter(({ id }) => id !== notification.id)), lasting))
    })
    return () => {
      leave()
      timers.forEach(clearTimeout)
      setToasts([])
    }
  }, [notifications, quiet])

  const names = new Map([[me.userId, me.name]])
  return (
    <div className="toasts" role="status">
      {toasts.map(({ id, title, body }) => (
        <div key={id} className="card toast">
          <p>
            <b>{title}</b>
            {body && <span className="text">{plainly(body, names)}</span>}
          </p>
          <button type="button" onClick={show}>
            Show
          </button>
        </div>
      ))}
    </div>
  )
}
