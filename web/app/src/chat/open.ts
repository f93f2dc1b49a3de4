import { useEffect, useRef, useState } from "react"

const key = "atrium.chat"

/** Whether the chat lies over the page instead of beside it; as in chat.css. */
export const isNarrow = (): boolean => matchMedia("(width < 48rem)").matches

/** Whether the chat is open, which a browser remembers; the focus follows. */
export function useOpen(inside: () => HTMLElement | null) {
  const [open, setOpen] = useState(() => !isNarrow() && localStorage.getItem(key) !== "closed")
  const toggler = useRef<HTMLButtonElement>(null)
  const toggled = useRef(false)
  const toggle = () => {
    toggled.current = true
    if (!isNarrow()) localStorage.setItem(key, open ? "closed" : "open")
    setOpen(!open)
  }
  useEffect(() => {
    if (!toggled.current) return
    toggled.current = false
    const target = open ? inside() : toggler.current
    target?.focus()
  })
  return { open, toggle, toggler }
}
