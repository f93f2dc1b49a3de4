import { useAtrium } from "atrium-client/react"
import { useCallback, useEffect, useState } from "react"

const every = 2_000

/** One page of a list that the server keeps. */
interface Page<T> {
  items: readonly T[] | undefined
  /** Whether there are more behind these. */
  more: boolean
  /** How many nodes have not told theirs. */
  missing: number
  problem: string
  /** Asks again at once. */
  look: () => void
}

/** A page of a list, asked for again and again while the browser's tab is seen. The list is the call's one array. */
export function usePage<T>(call: string): Page<T> {
  const client = useAtrium()
  const [page, setPage] = useState<Omit<Page<T>, "look">>({ items: undefined, more: false, missing: 0, problem: "" })
  const [asked, ask] = useState(0)

  useEffect(() => {
    let over = false
    let timer: ReturnType<typeof setTimeout>
    const look = async () => {
      try {
        if (!document.hidden) {
          const answer = await client.fetch(call)
          if (!answer.ok) throw new Error(`The server refused (${answer.status}).`)
          const { more, missing = 0, ...lists } = (await answer.json()) as { more: boolean; missing?: number } & Record<string, unknown>
          const items = Object.values(lists).find(Array.isArray) as T[]
          if (!over) setPage({ items, more, missing, problem: "" })
        }
      } catch (error) {
        const problem = error instanceof TypeError ? "The server does not answer." : (error as Error).message
        if (!over) setPage((page) => ({ ...page, problem }))
      }
      if (!over) timer = setTimeout(look, every)
    }
    void look()
    return () => {
      over = true
      clearTimeout(timer)
    }
  }, [client, call, asked])

  return { ...page, look: useCallback(() => ask((n) => n + 1), []) }
}

/** Where one is in a list that is paged by its last item's id. */
export function usePaging(): { after: string; next: (last: string) => void; back: (() => void) | undefined; restart: () => void } {
  const [before, setBefore] = useState<readonly string[]>([])
  return {
    after: before.at(-1) ?? "",
    next: (last) => setBefore([...before, last]),
    back: before.length > 0 ? () => setBefore(before.slice(0, -1)) : undefined,
    restart: () => setBefore([]),
  }
}
