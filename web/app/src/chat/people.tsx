import type { Member, Status } from "atrium-client"
import { useAtrium, usePresence } from "atrium-client/react"
import { Avatar } from "../shell/avatar.tsx"

const atMost = 100

/** Who is in a room, and whether they are busy. */
export function People({ id, members, count, me }: { id: string; members: readonly Member[]; count: number; me: string }) {
  const client = useAtrium()
  const shown = [...members]
    .sort((a, b) => Number(b.userId === me) - Number(a.userId === me) || a.username.localeCompare(b.username))
    .slice(0, atMost)
  const statuses = usePresence(shown.map(({ userId }) => userId))
  const set = (status: string) => void client.presence.set(status as Exclude<Status, "offline">).catch(() => {})
  return (
    <ul id={id} className="people" aria-label="Who is here" tabIndex={0}>
      {shown.map(({ userId, username, avatar }) => {
        const status = statuses.get(userId)?.status
        const own = status === undefined || status === "offline" ? "online" : status
        return (
          <li key={userId}>
            <span className="presence" data-status={status}>
              <Avatar userId={userId} name={username} picture={avatar} />
            </span>
            <span className="name">{username}</span>
            {userId === me ? (
              <select aria-label="Your status" value={own} onChange={(event) => set(event.target.value)}>
                <option value="online">Online</option>
                <option value="away">Away</option>
                <option value="busy">Busy</option>
              </select>
            ) : (
              <span className="soft">{status}</span>
            )}
          </li>
        )
      })}
      {count > shown.length && <li className="soft">and {count - shown.length} more</li>}
    </ul>
  )
}
