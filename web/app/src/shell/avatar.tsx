import { colorOf } from "./color.ts"

/** A user's initials, or picture, in the user's color. */
export function Avatar({ userId, name, picture }: { userId: string; name: string; picture?: string }) {
  const letters = name.split(/\s+/).map((word) => [...word][0] ?? "").join("").slice(0, 2).toUpperCase()
  return (
    <span className="avatar" style={{ "--user": colorOf(userId) } as React.CSSProperties} title={name}>
      {picture ? <img src={picture} alt={name} /> : <span aria-hidden="true">{letters}</span>}
    </span>
  )
}
