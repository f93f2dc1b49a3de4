import type { ReactNode } from "react"
import type { Names } from "./names.ts"

/** `@{userId}`, as the server understands it, and addresses of the web. */
const special = /@\{([^{}\x00-\x1f\x7f]{1,256})\}|https?:\/\/[^\s<>"]+/g

/** What a message says, with links and mentions; all else is plain text. */
export function Content({ text, names, me }: { text: string; names: Names; me: string }) {
  const parts: ReactNode[] = []
  let done = 0
  for (const match of text.matchAll(special)) {
    const [found, userId] = match
    const link = userId === undefined ? linkIn(found) : undefined
    if (userId === undefined && !link) continue
    parts.push(text.slice(done, match.index))
    parts.push(
      link ? (
        <a key={match.index} href={link} target="_blank" rel="noopener noreferrer">
          {link}
        </a>
      ) : (
        <span key={match.index} className={userId === me ? "mention mine" : "mention"}>
          @{names.get(userId!) ?? userId}
        </span>
      ),
    )
    done = match.index + (link ?? found).length
  }
  return (
    <>
      {parts}
      {text.slice(done)}
    </>
  )
}

/** What a message says, on one line and without markup. */
export const plainly = (text: string, names: Names): string =>
  text
    .replace(special, (found, userId?: string) => (userId === undefined ? found : `@${names.get(userId) ?? userId}`))
    .replace(/\s+/g, " ")

export const mentions = (text: string, userId: string): boolean => text.includes(`@{${userId}}`)

/** An address without the marks that end a sentence behind it, if it is one. */
function linkIn(found: string): string | undefined {
  let link = found.replace(/[.,;:!?'*_~]+$/, "")
  // A closing bracket belongs to it only if it was opened there.
  while (/[)\]]$/.test(link) && !/[([]/.test(link)) link = link.slice(0, -1).replace(/[.,;:!?]+$/, "")
  return URL.canParse(link) ? link : undefined
}
