import { useSyncExternalStore } from "react"

const steps = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const
const words = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" })
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" })

/** How long ago something was; the whole time is in its title. */
export function Ago({ time }: { time: string }) {
  const now = useSyncExternalStore(subscribe, () => Math.floor(Date.now() / every) * every)
  return (
    <time dateTime={time} title={full.format(new Date(time))}>
      {ago(new Date(time).getTime(), now)}
    </time>
  )
}

function ago(time: number, now: number): string {
  const seconds = (now - time) / 1000
  for (const [unit, length] of steps) if (seconds >= length) return words.format(-Math.floor(seconds / length), unit)
  return "just now"
}

const every = 10_000

function subscribe(listener: () => void): () => void {
  const timer = setInterval(listener, every)
  return () => clearInterval(timer)
}
