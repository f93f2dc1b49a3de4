import type { MetricValue } from "atrium-client"
import { useMemo } from "react"
import { useTitle } from "../shell/title.ts"
import { Chart } from "./chart.tsx"
import { useValues } from "./series.ts"
import { bytes, count, milliseconds, perSecond } from "./units.ts"
import "./dashboard.css"

/** What Atrium measures of itself. */
const own = [
  { metric: "atrium.sessions", title: "Sessions", format: count },
  { metric: "atrium.documents_open", title: "Documents open", format: count },
  { metric: "atrium.messages_in_per_second", title: "Messages in", format: perSecond },
  { metric: "atrium.messages_out_per_second", title: "Messages out", format: perSecond },
  { metric: "atrium.memory_bytes", title: "Memory", format: bytes },
  { metric: "atrium.commit_p99_ms", title: "Commit latency, p99", format: milliseconds },
]

/** Live values: the server's own, and what backends push. */
export function Dashboard() {
  const values = useValues()
  const pushed = useMemo(
    () => [...values.values()].filter(({ metric }) => !metric.startsWith("atrium.")).sort((a, b) => (a.metric < b.metric ? -1 : 1)),
    [values],
  )
  useTitle("Dashboard")
  return (
    <div className="dashboard">
      <h1>Dashboard</h1>
      <section aria-labelledby="own-metrics">
        <h2 id="own-metrics">This service</h2>
        <div className="tiles">
          {own.map((tile) => (
            <Tile key={tile.metric} {...tile} value={values.get(tile.metric)} />
          ))}
        </div>
      </section>
      <section aria-labelledby="pushed-metrics">
        <h2 id="pushed-metrics">Pushed by backends</h2>
        {pushed.length === 0 && <HowToPush />}
        <div className="tiles">
          {pushed.map((value) => (
            <Tile key={value.metric} metric={value.metric} title={value.metric} format={count} value={value} />
          ))}
        </div>
      </section>
    </div>
  )
}

interface TileProps {
  metric: string
  title: string
  format: (value: number) => string
  value: MetricValue | undefined
}

function Tile({ metric, title, format, value }: TileProps) {
  const isNumber = typeof value?.value === "number"
  const now = value === undefined ? "–" : isNumber ? format(value.value as number) : JSON.stringify(value.value, null, 2)
  return (
    <article className="card tile" aria-label={title}>
      <h3>{title}</h3>
      {isNumber || value === undefined ? (
        <>
          <p className="now">{now}</p>
          <Chart metric={metric} label={`${title}: now ${now}; the last five minutes`} at={value?.timestamp ?? ""} format={format} />
        </>
      ) : (
        <pre tabIndex={0}>{now}</pre>
      )}
    </article>
  )
}

function HowToPush() {
  return (
    <div className="card push">
      <p>Nothing yet. With one of the server's API keys, this puts a value here:</p>
      <pre tabIndex={0}>
        {`curl -X PUT ${location.origin}/api/v1/metrics/orders.open -H "Authorization: Bearer $KEY" \\
  -H 'Content-Type: application/json' -d '{"value": 42}'`}
      </pre>
    </div>
  )
}
