import type { MetricValue } from "atrium-client"
import { useAtrium } from "atrium-client/react"
import { useEffect, useSyncExternalStore } from "react"

/** How much of a metric's past is shown, in seconds. */
export const span = 300

/** What this page has seen of one metric: seconds since 1970, and the values at them. */
export interface Series {
  times: number[]
  values: number[]
}

const seen = new Map<string, Series>()

/** Adds a value, if it is a number, and forgets what is too old to be shown. */
export function record({ metric, value, timestamp }: MetricValue): void {
  if (typeof value !== "number") return
  let series = seen.get(metric)
  if (!series) seen.set(metric, (series = { times: [], values: [] }))
  const time = Date.parse(timestamp) / 1_000
  if (time <= (series.times.at(-1) ?? 0)) return
  series.times.push(time)
  series.values.push(value)
  // One that is older stays, as the line comes from there.
  const old = series.times.findLastIndex((one) => one < time - span)
  if (old > 0) [series.times, series.values].forEach((list) => list.splice(0, old))
}

export const seriesOf = (metric: string): Series => seen.get(metric) ?? { times: [], values: [] }

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
