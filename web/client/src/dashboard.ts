import type { Connection } from "./connection.ts"
import { Live } from "./live.ts"
import { Subscriptions } from "./subscriptions.ts"
import type { Incoming, MetricValue } from "./protocol.ts"

/** Live values by name. */
export class Dashboard {
  #metrics = new Map<string, Metric>()
  #prefixes = new Map<string, Metrics>()
  readonly #subscriptions: Subscriptions

  constructor(connection: Connection) {
    this.#subscriptions = new Subscriptions(
      connection,
      (metrics) => connection.request("dashboard:subscribe", { metrics }, ({ values }) => values.forEach((value) => this.#told(value))),
      (metrics) => connection.request("dashboard:unsubscribe", { metrics }),
    )
    connection.on("message", (message: Incoming) => {
      if (message.type === "dashboard:update") this.#told(message as unknown as MetricValue)
    })
  }

  /** A metric's value, the same object each time; known while somebody subscribes to it. */
  metric(name: string): Metric {
    let metric = this.#metrics.get(name)
    if (!metric) this.#metrics.set(name, (metric = new Metric(name, this.#subscriptions)))
    return metric
  }

  /** All metrics whose names begin so, as far as they are granted, by name; the same object each time. */
  metrics(prefix: string): Metrics {
    let metrics = this.#prefixes.get(prefix)
    if (!metrics) this.#prefixes.set(prefix, (metrics = new Metrics(prefix, this.#subscriptions)))
    return metrics
  }

  #told({ metric, value, timestamp }: MetricValue): void {
    const told = { metric, value, timestamp }
    this.#metrics.get(metric)?.told(told)
    for (const metrics of this.#prefixes.values()) metrics.told(told)
  }
}

/** One metric; undefined until a value is known. */
export class Metric extends Live<MetricValue | undefined> {
  constructor(
    readonly name: string,
    private readonly subscriptions: Subscriptions,
  ) {
    super(undefined)
  }

  /** @internal */
  told(value: MetricValue): void {
    if (this.running && newer(value, this.value)) this.set(value)
  }

  protected override start(): void {
    this.subscriptions.add(this.name)
  }

  protected override stop(): void {
    this.subscriptions.delete(this.name)
  }
}

/** Metrics below a prefix, by name. */
export class Metrics extends Live<ReadonlyMap<string, MetricValue>> {
  constructor(
    readonly prefix: string,
    private readonly subscriptions: Subscriptions,
  ) {
    super(new Map())
  }

  /** @internal */
  told(value: MetricValue): void {
    if (!this.running || !value.metric.startsWith(this.prefix)) return
    if (newer(value, this.value.get(value.metric))) this.set(new Map(this.value).set(value.metric, value))
  }

  protected override start(): void {
    this.subscriptions.add(`${this.prefix}*`)
  }

  protected override stop(): void {
    this.subscriptions.delete(`${this.prefix}*`)
  }
}

/** Whether a value is newer than another one: an update may overtake the answer to a subscription. */
function newer(value: MetricValue, than: MetricValue | undefined): boolean {
  if (!than) return true
  const [a, b] = [Date.parse(value.timestamp), Date.parse(than.timestamp)]
  // Dates here know milliseconds, the server microseconds, in digits of one length.
  return a > b || (a === b && value.timestamp > than.timestamp)
}
