import { type KeyboardEvent, type RefObject, useMemo, useState } from "react"
import type { Names } from "./names.ts"

export interface Completion {
  /** Whom the text before the caret may mean, by id and name. */
  found: readonly (readonly [userId: string, name: string])[]
  chosen: number
  /** To be called when the caret may have moved. */
  look: () => void
  /** Takes the keys that are for it, and says whether it did. */
  press: (event: KeyboardEvent) => boolean
  take: (userId: string) => void
}

const shown = 6

/** Completes names after an @ in a field. */
export function useCompletion(
  field: RefObject<HTMLTextAreaElement | null>,
  names: Names,
  me: string,
  write: (text: string) => void,
): Completion {
  const [begun, setBegun] = useState<string>() // what stands behind the @
  const [chosen, setChosen] = useState(0)
  const found = useMemo(() => (begun === undefined ? [] : matching(names, begun, me)), [names, begun, me])

  const look = () => {
    const { value, selectionStart, selectionEnd } = field.current!
    const before = selectionStart === selectionEnd ? value.slice(0, selectionStart) : ""
    const next = /(?:^|[\s(])@([\p{L}\p{N}._-]{0,32})$/u.exec(before)?.[1]
    if (next !== begun) setChosen(0)
    setBegun(next)
  }
  const take = (userId: string) => {
    const { value, selectionStart } = field.current!
    const text = `${value.slice(0, selectionStart - begun!.length)}{${userId}} `
    setBegun(undefined)
    write(text + value.slice(selectionStart))
    requestAnimationFrame(() => {
      field.current?.focus()
      field.current?.setSelectionRange(text.length, text.length)
    })
  }
  const press = (event: KeyboardEvent) => {
    if (found.length === 0) return false
    const step = { ArrowDown: 1, ArrowUp: found.length - 1 }[event.key]
    if (step !== undefined) setChosen((chosen + step) % found.length)
    else if (event.key === "Enter" || event.key === "Tab") take(found[chosen]![0])
    else if (event.key === "Escape") setBegun(undefined)
    else return false
    event.preventDefault()
    return true
  }
  return { found, chosen, look, press, take }
}

function matching(names: Names, begun: string, me: string) {
  const wanted = begun.toLowerCase()
  const fits = (text: string) => text.toLowerCase().split(/\s+/).some((word) => word.startsWith(wanted))
  return [...names]
    .filter(([userId, name]) => userId !== me && (fits(name) || fits(userId)))
    .sort(([, a], [, b]) => a.localeCompare(b))
    .slice(0, shown)
}
