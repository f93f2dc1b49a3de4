// Coming, staying and coming back.

import { expect, test } from "vitest"
import { token } from "../../interop/atrium.ts"
import { useAtrium } from "../../interop/fixture.ts"
import { proxy } from "../../interop/proxy.ts"
import { until } from "../../interop/wait.ts"
import { dial, everything, online } from "./clients.ts"

const atrium = useAtrium()

test("it joins, knows who it is, and leaves", async () => {
  const alice = dial(atrium, "alice")
  const states: string[] = []
  alice.on("state", (state) => states.push(state))
  expect(alice.state).toBe("connecting")
  await online(alice)
  expect(alice.user).toMatchObject({ id: "alice", name: "Alice" })
  expect(alice.sessionId).toMatch(/^[0-9a-f-]{36}$/)
  alice.close()
  expect(states).toEqual(["online", "offline"])
})

test("a token that does not hold is fetched anew once, then refused", async () => {
  let asked = 0
  const late = dial(atrium, "late", { getToken: () => (asked++, token({ sub: "late", ttl: -5 })) })
  await until("it is refused", () => late.state === "refused")
  expect(asked).toBe(2)
  expect(late.refusal).toMatchObject({ closeCode: 4401 })

  const renewed = dial(atrium, "renewed", { getToken: () => (asked++ === 2 ? token({ sub: "renewed", ttl: -5 }) : everything("renewed")) })
  await online(renewed)
})

test("it comes back after a refusal when told to", async () => {
  let good = false
  const alice = dial(atrium, "alice", { getToken: () => (good ? everything("alice") : "nonsense") })
  await until("it is refused", () => alice.state === "refused")
  good = true
  alice.reconnect()
  await online(alice)
  expect(alice.refusal).toBeUndefined()
})

test("a failing getToken is asked again", async () => {
  let asked = 0
  const getToken = () => {
    if (asked++ < 2) throw new Error("the backend is away")
    return everything("alice")
  }
  await online(dial(atrium, "alice", { getToken }))
  expect(asked).toBe(3)
})

test("another connection of the same name replaces it for good", async () => {
  const first = dial(atrium, "alice", { senderId: "one" })
  await online(first)
  const second = dial(atrium, "alice", { senderId: "one" })
  await online(second)
  await until("the first is refused", () => first.state === "refused")
  expect(first.refusal).toMatchObject({ closeCode: 4409, message: expect.stringContaining("replaced") })
  expect(second.state).toBe("online")
})

test("the token is refreshed in place before it expires", async () => {
  let asked = 0
  const alice = dial(atrium, "alice", { getToken: () => (asked++, everything("alice", { ttl: 3 })) })
  await online(alice)
  const session = alice.sessionId
  const states: string[] = []
  alice.on("state", (state) => states.push(state))
  await until("three refreshes", () => asked >= 4, 20_000)
  expect(alice.sessionId).toBe(session)
  expect(states).toEqual([])
})

test("what a new token does not grant ends, and what it grants anew begins", async () => {
  let rooms: Record<string, "read" | "write"> = { "*": "write" }
  const alice = dial(atrium, "alice", { getToken: () => everything("alice", { ttl: 3, rooms }) })
  const room = alice.chat.room("closed")
  room.subscribe(() => {})
  await until("it is in the room", () => room.value.status === "joined")
  rooms = {}
  await until("it is out", () => room.value.status === "forbidden", 15_000)
  await expect(room.send("hello?")).rejects.toMatchObject({ code: "forbidden" })
  rooms = { closed: "write" }
  await until("it is in again", () => room.value.status === "joined", 15_000)
  await room.send("hello!")
})

test("it notices silence, and comes back", async () => {
  const network = await proxy(atrium.port)
  const alice = dial(network, "alice")
  await online(alice)
  const room = alice.chat.room("silence")
  room.subscribe(() => {})
  await until("it is in the room", () => room.value.status === "joined")
  network.stall()
  const sent = room.send("through the silence")
  await until("it is offline", () => alice.state !== "online", 30_000)
  network.cut()
  network.resume()
  expect((await sent).content).toBe("through the silence")
  network.refuse()
})

test("it comes back after the server has", async () => {
  const alice = dial(atrium, "alice")
  await online(alice)
  await atrium.kill9()
  await until("it is offline", () => alice.state === "offline")
  await atrium.start()
  await online(alice)
  await atrium.restart() // in order, by 4503
  await until("it was away", () => alice.state !== "online")
  await online(alice)
})

test("it calls the server over HTTP with its token", async () => {
  const alice = dial(atrium, "alice")
  const made = await alice.fetch("api/v1/documents", { method: "POST", body: JSON.stringify({ content: { a: 1 } }), headers: { "content-type": "application/json" } })
  expect(made.status).toBe(201)
  const { documentId } = (await made.json()) as { documentId: string }
  expect(await (await alice.fetch(`api/v1/documents/${documentId}`)).json()).toEqual({ a: 1 })
  expect((await dial(atrium, "x", { getToken: () => token({ sub: "x", docs: {} }) }).fetch(`api/v1/documents/${documentId}`)).status).toBe(403)
  await expect(alice.fetch("//example.org/api")).rejects.toThrow("is not the server")
})

test("more is joined at once than the server takes, and all of it is", async () => {
  const alice = dial(atrium, "alice")
  const rooms = Array.from({ length: 240 }, (_, i) => alice.chat.room(`many-${i}`))
  for (const room of rooms) room.subscribe(() => {})
  await until(
    () => `${rooms.filter(({ value }) => value.status === "joined").length} are joined, ${alice.state}`,
    () => rooms.every(({ value }) => value.status === "joined"), 20_000,
  )
})
