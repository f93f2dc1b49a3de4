// Everything at once over a network that delays and cuts: nothing is lost, nothing comes twice.

import { Repo } from "@automerge/automerge-repo"
import { expect, test } from "vitest"
import { useAtrium } from "../../interop/fixture.ts"
import { proxy } from "../../interop/proxy.ts"
import { rounds, seeded, seeds } from "../../interop/random.ts"
import { until } from "../../interop/wait.ts"
import { call, dial } from "./clients.ts"

const atrium = useAtrium()
const perRound = 10
let rooms = 0

class Worker {
  readonly network
  readonly client
  readonly room
  readonly repo
  readonly said: string[] = []
  readonly heard: string[] = []
  readonly notified: string[] = []

  constructor(
    readonly name: string,
    network: Awaited<ReturnType<typeof proxy>>,
    roomId: string,
  ) {
    this.network = network
    this.client = dial(network, name)
    this.room = this.client.chat.room(roomId)
    this.room.on((event) => event.type === "chat:message" && this.heard.push(event.content))
    this.client.notifications.on(({ title }) => this.notified.push(title))
    this.repo = new Repo({ network: [this.client.repoAdapter()] })
  }

  async say(text: string): Promise<void> {
    await this.room.send(text)
    this.said.push(text)
  }
}

test("talking, typing and notifying over networks that cut", async () => {
  for (const seed of seeds(rounds(1))) await seeded(seed, async (random) => {
    const round = rooms++
    const roomId = `faults-${round}`
    const workers: Worker[] = []
    for (const name of ["alice", "bob", "carol"]) workers.push(new Worker(`${name}-${round}`, await proxy(atrium.port), roomId))
    const [first] = workers
    await until("all are in", () => workers.every(({ room, client }) => room.value.memberCount === 3 && client.notifications.value.loaded))
    const document = first!.repo.create<{ list: string[] }>({ list: [] })
    await until("it can be found", () => workers[1]!.repo.find(document.url).then(() => true, () => false))
    const handles = await Promise.all(workers.map(({ repo }) => repo.find<{ list: string[] }>(document.url)))
    const saved = handles.map((handle, i) => workers[i]!.client.documents.saved(handle))
    saved.forEach((one) => one.subscribe(() => {}))

    for (const { network } of workers) network.delay = () => random.int(0, 2) && random.int(0, 30)
    const talking = workers.flatMap((worker, i) =>
      Array.from({ length: perRound }, async (_, n) => {
        await new Promise((resolve) => setTimeout(resolve, n * 150 + random.int(0, 100)))
        const text = `${worker.name} ${n}`
        handles[i]!.change((doc) => void doc.list.push(text))
        await Promise.all([worker.say(text), call(atrium, "POST", `users/${worker.name}/notifications`, { kind: "x", title: text })])
      }),
    )
    let over = false
    const cutting = (async () => {
      while (!over) {
        await new Promise((resolve) => setTimeout(resolve, 200 + random.int(0, 500)))
        const { network } = random.pick(workers)
        if (random.chance(0.5)) network.cut()
        else network.cutAfter(random.chance(0.5) ? "up" : "down", random.int(0, 2_000))
      }
    })()
    await Promise.all(talking)
    over = true
    await cutting
    for (const { network } of workers) network.delay = () => 0

    const wanted = workers.flatMap(({ name }) => Array.from({ length: perRound }, (_, n) => `${name} ${n}`)).sort()
    for (const worker of workers) {
      await until(
        () => `${worker.name} hears all: ${worker.heard.length} of ${wanted.length}; it is ${worker.client.state}, and ${worker.room.value.status}`,
        () => worker.heard.length >= wanted.length && worker.room.value.pending.length === 0,
        30_000,
      )
      expect([...worker.heard].sort()).toEqual(wanted)
      expect(worker.room.value.messages.map(({ content }) => content)).toEqual(worker.heard)
      expect(worker.heard).toEqual(first!.heard)
      expect(worker.said.length).toBe(perRound)
      await until(`${worker.name} is notified`, () => worker.notified.length >= perRound, 30_000)
      expect([...worker.notified].sort()).toEqual(wanted.filter((text) => text.startsWith(worker.name)))
    }
    await until("the documents agree, on disk", () =>
      handles.every((handle, i) => handle.doc().list.length === wanted.length && saved[i]!.value === "disk"), 30_000)
    for (const handle of handles) expect([...handle.doc().list].sort()).toEqual(wanted)
    for (const { client, network } of workers) {
      client.close()
      network.refuse()
    }
  })
}, rounds(1) * 180_000)
