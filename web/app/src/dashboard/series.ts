import type { MetricValue } from "atrium-client"
import { useAtrium } from "atrium-client/react"
import { useEffect, useSyncExternalStore } from "react"

/** How much of a metric's past is shown, in seconds. */
export const span = 300

/** What this page has seen of one metric: seconds since 1970 by this machine's clock, and the values at them. */
export interface Series {
  times: number[]
  values: number[]
  /** The newest one's time, as the server has it. */
  timestamp: string
}

const seen = new Map<string, Series>()

/** Adds a value, if it is a number and new, and forgets what is too old to be shown. */
export function record({ metric, value, timestamp }: MetricValue): void {
  if (typeof value !== "number") return
  const now = Date.now() / 1_000
  let series = seen.get(metric)
  if (!series) {
    // It was so before it was heard of here; since when, the clocks may not agree.
    const since = Math.min(Math.max(Date.parse(timestamp) / 1_000, now - span), now)
    seen.set(metric, (series = { times: [since], values: [value], timestamp }))
  }
  if (timestamp === series.timestamp) return
  series.timestamp = timestamp
  series.times.push(now)
  series.values.push(value)
  // One that is older stays, as the line comes from there.
  const old = series.times.findLastIndex((one) => one < now - span)
  if (old > 0) [series.times, series.values].forEach((list) => list.splice(0, old))
}

export const seriesOf = (metric: string): Series | undefined => seen.get(metric)

/** The newest values of all metrics that are granted; each is recorded. */
export function useValues(): ReadonlyMap<string, MetricValue> {
  const { dashboard } = useAtrium()
  const all = dashboard.metrics("")
  useEffect(() => {
    const take = () => all.value.forEach(record)
    take()
    return all.subscribe(take)
  }, [all])
  return useSyncExternalStore(all.subscribe, () => all.value)
}
