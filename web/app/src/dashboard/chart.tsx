import { useEffect, useRef } from "react"
import uPlot from "uplot"
import { seriesOf, span } from "./series.ts"
import "uplot/dist/uPlot.min.css"

const height = 96
/** How often a chart moves on by itself, and how often it is drawn at most, in milliseconds. */
const movesEvery = 1_000
const drawnEvery = 100
/** For how many seconds more the newest value is drawn, so that it is seen at once. */
const ahead = 4
/** How much higher than its highest value a chart is. */
const headroom = 1.1
const dark = matchMedia("(prefers-color-scheme: dark)")

/** The last minutes of a metric. It is drawn again when `at`, the time of its newest value, changes. */
export function Chart({ metric, label, at, format }: { metric: string; label: string; at: string; format: (value: number) => string }) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)

  useEffect(() => {
    const element = place.current!
    const make = () => {
      plot.current?.destroy()
      plot.current = new uPlot(options(element, format), data(metric), element)
    }
    make()
    const sizes = new ResizeObserver(() => plot.current!.setSize({ width: element.clientWidth, height }))
    sizes.observe(element)
    dark.addEventListener("change", make)
    const moving = setInterval(() => plot.current!.setData(data(metric)), movesEvery)
    return () => {
      clearInterval(moving)
      dark.removeEventListener("change", make)
      sizes.disconnect()
      plot.current!.destroy()
    }
  }, [metric, format])

  const drawing = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => {
    drawing.current ??= setTimeout(() => {
      drawing.current = undefined
      plot.current!.setData(data(metric))
    }, drawnEvery)
  }, [metric, at])
  useEffect(() => () => clearTimeout(drawing.current), [])

  return <div className="chart" ref={place} role="img" aria-label={label} style={{ height }} />
}

/** What has been seen, the newest held until the chart's end. */
function data(metric: string): uPlot.AlignedData {
  const series = seriesOf(metric)
  if (!series) return [[], []]
  const { times, values } = series
  return [[...times, end()], [...values, values.at(-1)!]]
}

const end = () => Date.now() / 1_000 + ahead

function options(element: HTMLElement, format: (value: number) => string): uPlot.Options {
  const style = getComputedStyle(element)
  const [ink, line, accent] = ["color", "--chart-line", "--chart-accent"].map((name) => style.getPropertyValue(name))
  return {
    width: element.clientWidth,
    height,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 0, 4, 0],
    scales: {
      x: { range: () => [end() - span, end()] },
      y: { range: (_, least, most) => [Math.min(least ?? 0, 0), (most > 0 ? most : 1) * headroom] },
    },
    axes: [
      { show: false },
      {
        stroke: ink,
        size: 56,
        font: "11px system-ui, sans-serif",
        grid: { stroke: line, width: 1 },
        ticks: { show: false },
        splits: (_, __, least, most) => [least, (least + most / headroom) / 2, most / headroom],
        values: (_, splits) => splits.map(format),
      },
    ],
    series: [{}, { stroke: accent, width: 1.5, fill: `color-mix(in srgb, ${accent} 12%, transparent)`, points: { show: false }, paths: uPlot.paths.stepped!({ align: 1 }) }],
  }
}
