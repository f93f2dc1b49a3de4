// Random rounds: three or four stock clients of two releases edit one document,
// while sockets are cut, clients come back with less than they had told of, and
// the server comes back without its newest changes. In the end all must be equal,
// and then silent.

import { decodeSyncState, hasHeads, init, loadIncremental } from "@automerge/automerge"
import type { AutomergeUrl } from "@automerge/automerge-repo"
import { expect, test } from "vitest"
import { arrives, type Client, type ClientOptions, converged, createDocument, dial, idOf, silent } from "./clients.ts"
import { edit } from "./edits.ts"
import { useAtrium } from "./fixture.ts"
import { proxy, type Proxy } from "./proxy.ts"
import { type Random, rounds, seeded, seeds } from "./random.ts"
import { MemoryStorage } from "./storage.ts"
import { until } from "./wait.ts"

const atrium = useAtrium()
/** How often each kind of trouble came about. */
const happened: Record<string, number> = {}

test("random rounds end equal and silent", { timeout: 60_000 + 20_000 * rounds(12) }, async () => {
  for (const seed of seeds(rounds(12))) {
    await seeded(seed, async (random) => {
      const round = await Round.start(random)
      try {
        for (let step = random.int(4, 10); step > 0; step--) await round.step()
        await round.settle()
      } finally {
        await round.end()
      }
    })
  }
  console.log(`what happened: ${JSON.stringify(happened)}`)
  if (rounds(12) >= 50) {
    expect(happened["a sync state told of changes that were gone"]).toBeGreaterThan(0)
    expect(happened["the server lost changes"]).toBeGreaterThan(0)
  }
})

/** One client's seat: the line and the storage stay while lives come and go. */
interface Seat {
  name: string
  line: Proxy
  client: Client
  options: ClientOptions
  /** The stored documents at some earlier time, to come back with. */
  earlier: Map<string, Uint8Array>
}

class Round {
  private constructor(
    private readonly random: Random,
    private readonly seats: Seat[],
    private readonly url: AutomergeUrl,
  ) {}

  static async start(random: Random): Promise<Round> {
    const seats: Seat[] = []
    for (const name of ["alice", "bob", "carol", "dave"].slice(0, random.int(3, 4))) {
      const line = await proxy(atrium.port)
      const release = random.chance(0.4) ? "2.0" : "2.5"
      const options: ClientOptions = { release, ...(random.chance(0.8) && { storage: new MemoryStorage() }) }
      seats.push({ name, line, options, earlier: new Map(), client: dial(line, name, options) })
    }
    const clients = seats.map((seat) => seat.client)
    const { url } = createDocument(clients[0]!)
    await Promise.all(clients.map((client) => arrives(client, url)))
    return new Round(random, seats, url)
  }

  async step(): Promise<void> {
    const { random } = this
    const seat = random.pick(this.seats)
    const trouble = random.int(0, 11)
    await this.#edits()
    if (trouble <= 1) seat.line.cut()
    else if (trouble <= 4) seat.line.cutAfter(random.pick(["up", "down"]), random.int(1, 600))
    else if (trouble === 5) seat.line.refuse()
    else if (trouble === 6) seat.earlier = seat.client.storage?.documents() ?? seat.earlier
    else if (trouble <= 8) await this.#reopen(seat)
    else if (trouble === 9) await atrium.restart()
    else if (trouble === 10) await this.#crash()
    else await this.#loseTail()
    if (random.chance(0.5)) await this.#edits()
    if (random.chance(0.3)) await Promise.all(this.seats.map(({ line }) => line.allow()))
  }

  /** Lets everybody connect, and waits until all and a newcomer are equal and silent. */
  async settle(): Promise<void> {
    await Promise.all(this.seats.map(({ line }) => line.allow()))
    const clients = this.seats.map(({ client }) => client)
    await converged(clients, this.url)
    const fresh = dial(atrium, "fresh")
    await arrives(fresh, this.url)
    await converged([...clients, fresh], this.url)
    await silent([...clients, fresh])
    fresh.hangUp()
  }

  async end(): Promise<void> {
    for (const { client, line } of this.seats) {
      client.hangUp()
      line.refuse()
    }
  }

  /** A burst of edits; the pauses between them decide what goes into one message. */
  async #edits(): Promise<void> {
    for (let n = this.random.int(1, 12); n > 0; n--) {
      const { client } = this.random.pick(this.seats)
      const handle = client.repo.handles[idOf(this.url)]
      if (handle?.isReady()) edit(client, handle, this.random)
      if (this.random.chance(0.3)) await new Promise((resolve) => setTimeout(resolve, this.random.int(0, 60)))
    }
  }

  /** Ends a client and starts it again with what it had stored, or with less. */
  async #reopen(seat: Seat): Promise<void> {
    const { storage } = seat.client
    seat.client.hangUp()
    if (storage) {
      const kept = storage.reopen(this.random.chance(0.6) ? seat.earlier : undefined)
      if (lies(kept)) count("a sync state told of changes that were gone")
      seat.options = { ...seat.options, storage: kept }
    }
    seat.client = dial(seat.line, seat.name, seat.options)
    if (storage) void seat.client.repo.find(this.url, { allowableStates: ["ready", "unavailable"] })
    else {
      // Without storage it can only come back where the document is.
      await seat.line.allow()
      await arrives(seat.client, this.url)
    }
  }

  async #crash(): Promise<void> {
    count("the server was killed")
    await atrium.kill9()
    await this.#edits()
    await atrium.start()
  }

  async #loseTail(): Promise<void> {
    await atrium.halt()
    const copy = atrium.copyData()
    await atrium.start()
    await this.#edits()
    const told = () => this.seats.reduce((sum, { client }) => sum + client.tap.heads(idOf(this.url)).size, 0)
    const before = told()
    await until("the server tells of new changes", () => told() > before, 1_000).then(
      () => count("the server lost changes"),
      () => {}, // everybody happens to be cut off
    )
    await atrium.halt()
    atrium.restoreData(copy)
    await atrium.start()
  }
}

/** Whether a stored sync state has shared heads that the stored document does not have. */
function lies(storage: MemoryStorage): boolean {
  const documents = [...storage.documents().values()]
  const doc = loadIncremental(init(), Buffer.concat(documents))
  return storage.syncStates().some((state) => !hasHeads(doc, decodeSyncState(state).sharedHeads))
}

function count(what: string): void {
  happened[what] = (happened[what] ?? 0) + 1
}
