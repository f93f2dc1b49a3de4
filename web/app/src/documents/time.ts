const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" })
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" })
const dayOfYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" })

/** A time of today by the clock, an older one with its day. */
export function shortTime(time: number | Date, now = new Date()): string {
  const date = new Date(time)
  if (date.toDateString() === now.toDateString()) return clock.format(date)
  return `${(date.getFullYear() === now.getFullYear() ? day : dayOfYear).format(date)}, ${clock.format(date)}`
}
