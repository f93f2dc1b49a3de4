// What stock clients tell each other without storing it: broadcasts and the
// Presence helper of automerge-repo.

import { cbor, type DocHandle, Presence } from "@automerge/automerge-repo"
import { expect, test } from "vitest"
import { token } from "./atrium.ts"
import { converged, createDocument, dial, idOf, type Shape } from "./clients.ts"
import { useAtrium } from "./fixture.ts"
import { RawSocket } from "./raw.ts"
import { until } from "./wait.ts"

const atrium = useAtrium()

interface Heard {
  senderId: string
  message: unknown
}

/** Collects the broadcasts that reach a handle. */
function listen(handle: DocHandle<Shape>): Heard[] {
  const heard: Heard[] = []
  handle.on("ephemeral-message", ({ senderId, message }) => heard.push({ senderId, message }))
  return heard
}

async function three() {
  const clients = [dial(atrium, "alice"), dial(atrium, "bob"), dial(atrium, "carol")] as const
  const first = createDocument(clients[0])
  const handles = [first, await clients[1].find(first.url), await clients[2].find(first.url)] as const
  await converged([...clients], first.url)
  return { clients, handles, url: first.url }
}

test("a broadcast reaches the others once, under a name the server vouches for", async () => {
  const { clients, handles } = await three()
  const heard = handles.map(listen)
  for (let n = 0; n < 5; n++) handles[0].broadcast({ n })
  handles[1].broadcast("last")

  await until("carol hears alice's five and bob's one", () => heard[2]!.length === 6)
  await until("alice hears bob", () => heard[0]!.length === 1)
  await until("bob hears alice's five", () => heard[1]!.length === 5)
  const ofAlice = heard[2]!.filter(({ message }) => message !== "last")
  expect(ofAlice.map(({ message }) => message)).toEqual([0, 1, 2, 3, 4].map((n) => ({ n })))
  expect(new Set(ofAlice.map(({ senderId }) => senderId))).toEqual(new Set([`alice/${clients[0].repo.peerId}`]))

  // A second question and answer: had a client heard an echo, it would stand between.
  handles[2].broadcast("over")
  await until("all hear carol", () => heard[0]!.length === 2 && heard[1]!.length === 6)
  expect(heard.map((list) => list.length)).toEqual([2, 6, 6])
})

test("the Presence helper tells who is there and who leaves", async () => {
  const { clients, handles } = await three()
  const presences = handles.map((handle) => new Presence<{ cursor: number }, Shape>({ handle }))
  presences.forEach((presence, i) => presence.start({ initialState: { cursor: i }, heartbeatMs: 1_000 }))
  const [alice, bob, carol] = presences as [Presence<{ cursor: number }, Shape>, ...Presence<{ cursor: number }, Shape>[]]

  const seenBy = (presence: typeof alice) =>
    Object.values(presence.getPeerStates().value)
      .map((peer) => peer.value?.cursor)
      .sort()
  await until(
    () => `all see the two others: ${JSON.stringify(presences.map(seenBy))}`,
    () => presences.every((presence) => seenBy(presence).length === 2),
  )
  alice.broadcast("cursor", 42)
  await until("bob and carol see alice's cursor move", () => seenBy(bob!).includes(42) && seenBy(carol!).includes(42))
  expect(Object.keys(bob!.getPeerStates().value)).toContain(`alice/${clients[0].repo.peerId}`)

  alice.stop()
  await until("alice is gone", () => seenBy(bob!).length === 1 && seenBy(carol!).length === 1)
  presences.forEach((presence) => presence.stop())
})

test("a session that only broadcasts hears the others too", async () => {
  const { handles, url } = await three()
  const heard = listen(handles[0])
  const raw = new RawSocket(`${atrium.url}?token=${token({ sub: "dave" })}`)
  await raw.send({ type: "join", senderId: "dave-1", supportedProtocolVersions: ["1"] })
  await raw.next("peer")
  const data = cbor.encode("here is dave")
  await raw.send({ type: "ephemeral", senderId: "dave-1", documentId: idOf(url), count: 1, sessionId: "s", data })
  await until("alice hears dave", () => heard.some(({ message }) => message === "here is dave"))

  handles[0].broadcast("hello dave")
  const { data: got, senderId } = await raw.next("ephemeral")
  expect(cbor.decode(got as Uint8Array)).toBe("hello dave")
  expect(senderId).toMatch(/^alice\//)
  raw.hangUp()
})

test("nobody can speak under another's name", async () => {
  const { clients, handles, url } = await three()
  const heard = listen(handles[1])
  const raw = new RawSocket(`${atrium.url}?token=${token({ sub: "mallory" })}`)
  await raw.send({ type: "join", senderId: "mallory-1" })
  await raw.next("peer")
  const base = { type: "ephemeral", documentId: idOf(url), sessionId: "s", count: 1 }
  await raw.send({ ...base, senderId: clients[0].repo.peerId, data: cbor.encode("as alice") })
  await raw.send({ ...base, senderId: "mallory-1", data: cbor.encode("as mallory") })
  await until("bob hears mallory", () => heard.length > 0)
  expect(heard.map(({ message }) => message)).toEqual(["as mallory"])
  raw.hangUp()
})
