import type { Room, RoomState } from "atrium-client"
import { useCallback, useEffect, useRef, useState } from "react"

interface Reading extends Pick<RoomState, "status" | "unread" | "readSeq" | "lastSeq"> {
  room: Room
  /** Whether somebody sees the newest message. */
  watched: boolean
}

/** Marks as read what is seen. `mark` is the seq behind which was new what came unseen. */
export function useMark({ room, status, unread, readSeq, lastSeq, watched }: Reading) {
  const [mark, setMark] = useState<number>()
  const before = useRef({ unread: 0, joined: false })
  useEffect(() => {
    if (status !== "joined") return
    const seen = watched && before.current.joined // what was there at first was not seen
    if (unread > 0 && before.current.unread === 0 && !seen) setMark(readSeq)
    before.current = { unread, joined: true }
    if (watched) room.read()
  }, [room, status, unread, readSeq, lastSeq, watched])
  const unmark = useCallback(() => setMark(undefined), [])
  return { mark, unmark }
}
