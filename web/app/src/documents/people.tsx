import type { Member } from "atrium-client"
import { Avatar } from "../shell/avatar.tsx"
import { useWorkspace } from "../workspace.ts"

const atMost = 6

/** Who has a document open. */
export function People({ users }: { users: readonly Member[] }) {
  const { me } = useWorkspace()
  const sorted = [...users].sort((a, b) => Number(b.userId === me.userId) - Number(a.userId === me.userId))
  const more = sorted.slice(atMost)
  return (
    <ul className="people" aria-label="Here now">
      {sorted.slice(0, atMost).map(({ userId, username, avatar }) => (
        <li key={userId}>
          <Avatar userId={userId} name={username} picture={avatar} />
          <span className="visually-hidden">
            {username}
            {userId === me.userId && " (you)"}
          </span>
        </li>
      ))}
      {more.length > 0 && (
        <li className="more" title={more.map(({ username }) => username).join(", ")}>
          +{more.length}
          <span className="visually-hidden"> more</span>
        </li>
      )}
    </ul>
  )
}
