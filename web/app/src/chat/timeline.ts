import type { ChatMessage } from "atrium-client"

/** A message's place among the others. */
export interface Line {
  message: ChatMessage
  /** The day that begins with it. */
  day?: string
  /** Whether all from here on was unread. */
  isNew: boolean
  /** Whether it stands under its author's name; else it goes on under the one before. */
  headed: boolean
}

const together = 5 * 60_000

/** Messages as they are read: by days, and by who said them in one go. `mark` is the seq behind which all is new. */
export function timeline(messages: readonly ChatMessage[], mark: number | undefined, me: string): Line[] {
  let marked = mark === undefined
  return messages.map((message, i) => {
    const before = messages[i - 1]
    const isNew = !marked && message.seq > mark! && message.user.id !== me
    if (isNew) marked = true
    const begins = !before || dayOf(before) !== dayOf(message)
    const goesOn =
      before?.user.id === message.user.id &&
      before.user.name === message.user.name &&
      Date.parse(message.createdAt) - Date.parse(before.createdAt) < together
    const headed = begins || isNew || !goesOn || message.replyTo !== undefined
    return { message, day: begins ? dayName(message.createdAt) : undefined, isNew, headed }
  })
}

const dayOf = ({ createdAt }: ChatMessage) => new Date(createdAt).toDateString()
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" })
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" })

export function dayName(time: string, now = new Date()): string {
  const day = new Date(time)
  const daysAgo = Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(day).setHours(0, 0, 0, 0)) / 86_400_000)
  if (daysAgo === 0) return "Today"
  if (daysAgo === 1) return "Yesterday"
  return (day.getFullYear() === now.getFullYear() ? weekday : date).format(day)
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" })
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" })
export const clock = (time: string): string => clockFormat.format(new Date(time))
/** Without AM and PM, for where there is little room. */
export const shortClock = (time: string): string =>
  clockFormat.formatToParts(new Date(time)).filter(({ type }) => type !== "dayPeriod").map(({ value }) => value).join("").trim()
export const fullTime = (time: string): string => fullFormat.format(new Date(time))
