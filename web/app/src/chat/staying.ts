import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react"

interface Staying {
  atEnd: boolean
  /** To be called when the list was scrolled. */
  look: () => void
  toEnd: () => void
}

/**
 * Keeps a list where its reader is: at its end, or with the same row in the same
 * place, whatever comes above or below. The list's one child holds the rows.
 */
export function useStaying(list: RefObject<HTMLElement | null>, rows: unknown): Staying {
  const [atEnd, setAtEnd] = useState(true)
  const place = useRef<{ row?: HTMLElement; top: number; atEnd: boolean }>({ top: 0, atEnd: true })

  const look = useCallback(() => {
    const element = list.current!
    if (element.clientHeight === 0) return // it is hidden
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 24
    const rows = [...element.firstElementChild!.children] as HTMLElement[]
    const row = rows.find(({ dataset, offsetTop, offsetHeight }) => dataset.id && offsetTop + offsetHeight > element.scrollTop)
    place.current = { row, top: row ? row.offsetTop - element.scrollTop : 0, atEnd }
    setAtEnd(atEnd)
  }, [list])

  const stay = useCallback(() => {
    const element = list.current!
    const { row, top, atEnd } = place.current
    if (atEnd) element.scrollTop = element.scrollHeight
    else if (row?.isConnected) element.scrollTop = row.offsetTop - top
    look()
  }, [list, look])

  const toEnd = useCallback(() => {
    place.current.atEnd = true
    stay()
  }, [stay])

  useLayoutEffect(stay, [stay, rows])
  useEffect(() => {
    const observer = new ResizeObserver(stay)
    observer.observe(list.current!)
    observer.observe(list.current!.firstElementChild!) // a row may grow by itself
    return () => observer.disconnect()
  }, [list, stay])
  return { atEnd, look, toEnd }
}
