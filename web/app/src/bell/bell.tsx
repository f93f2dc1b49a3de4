import { useNotifications } from "atrium-client/react"
import { type FocusEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from "react"
import { useUnread } from "../shell/title.ts"
import { Inbox } from "./inbox.tsx"
import { Toasts } from "./toasts.tsx"
import "./bell.css"

/** How much is unread in the inbox, and the inbox itself below. */
export function Bell() {
  const inbox = useNotifications()
  const [open, setOpen] = useState(false)
  const around = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const panel = useId()
  const { unread } = inbox
  useUnread("inbox", unread)

  useEffect(() => {
    if (!open) return
    const press = ({ target }: PointerEvent) => around.current!.contains(target as Node) || setOpen(false)
    document.addEventListener("pointerdown", press)
    return () => document.removeEventListener("pointerdown", press)
  }, [open])

  const close = () => {
    setOpen(false)
    button.current!.focus()
  }
  const leave = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !open) return
    event.preventDefault()
    close()
  }
  // A browser that gives the focus to nothing has not left it.
  const blur = ({ relatedTarget }: FocusEvent) => relatedTarget && !around.current!.contains(relatedTarget) && setOpen(false)

  return (
    <div className="bell" ref={around} onKeyDown={leave} onBlur={blur}>
      <button
        type="button"
        className="plain"
        ref={button}
        aria-label={unread > 0 ? `Notifications, ${unread} unread` : "Notifications"}
        aria-expanded={open}
        aria-controls={open ? panel : undefined}
        onClick={() => setOpen(!open)}
      >
        <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
          <path d="M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.5h4" />
        </svg>
        {unread > 0 && <span className="badge">{unread > 99 ? "99+" : unread}</span>}
      </button>
      {open && <Inbox id={panel} inbox={inbox} close={close} />}
      <Toasts quiet={open} show={() => setOpen(true)} />
    </div>
  )
}
