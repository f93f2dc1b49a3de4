// Rooms, as one client sees what others do in them.

import type { RoomEvent } from "atrium-client"
import { expect, test } from "vitest"
import { useAtrium } from "../../interop/fixture.ts"
import { proxy } from "../../interop/proxy.ts"
import { until } from "../../interop/wait.ts"
import { call, dial, online } from "./clients.ts"

const atrium = useAtrium()
let rooms = 0
const newRoom = () => `room-${rooms++}`
const contents = ({ value }: { value: { messages: readonly { content: string }[] } }) => value.messages.map(({ content }) => content)

test("what one says, edits and deletes, the other sees", async () => {
  const id = newRoom()
  const mine = dial(atrium, "alice").chat.room(id)
  const theirs = dial(atrium, "bob").chat.room(id)
  const events: RoomEvent[] = []
  mine.subscribe(() => {})
  theirs.on((event) => events.push(event))
  await until("both are in", () => mine.value.memberCount === 2 && theirs.value.memberCount === 2)
  expect(mine.value.members.map(({ userId }) => userId).sort()).toEqual(["alice", "bob"])

  const first = await mine.send("one")
  const second = await mine.send("two", { replyTo: first.id })
  expect(second).toMatchObject({ seq: 2, replyTo: first.id, user: { id: "alice" } })
  await until("Bob has both", () => theirs.value.unread === 2)
  await mine.edit(first.id, "one, edited")
  await mine.delete(second.id)
  await until("Bob has all", () => theirs.value.lastSeq === 4)
  expect(theirs.value.messages).toMatchObject([{ content: "one, edited", editedAt: expect.any(String) }, { content: "", deleted: true }])
  expect(mine.value.messages).toEqual(theirs.value.messages)
  expect(events.map(({ type, seq }) => [type, seq])).toEqual([
    ["chat:message", 1], ["chat:message", 2], ["chat:edited", 3], ["chat:deleted", 4],
  ])
  expect(mine.value.unread).toBe(0)
  await expect(theirs.edit(first.id, "no")).rejects.toMatchObject({ code: "forbidden" })
})

test("reading is shared among one's clients", async () => {
  const id = newRoom()
  const alice = dial(atrium, "alice").chat.room(id)
  const [phone, desk] = [dial(atrium, "bob"), dial(atrium, "bob")].map((client) => client.chat.room(id))
  for (const room of [alice, phone!, desk!]) room.subscribe(() => {})
  for (const text of ["a", "b", "c"]) await alice.send(text)
  await until("both have it unread", () => phone!.value.unread === 3 && desk!.value.unread === 3)
  phone!.read()
  expect(phone!.value.unread).toBe(0)
  await until("the other knows", () => desk!.value.unread === 0 && desk!.value.readSeq === 3)
  expect((await dial(atrium, "bob").chat.rooms().catch(() => [])).length).toBe(0) // not online yet
  const late = dial(atrium, "bob")
  await online(late)
  expect((await late.chat.rooms())[0]).toMatchObject({ roomId: id, lastSeq: 3, unread: 0, lastMessage: { content: "c" } })
})

test("typing begins, and ends by a message", async () => {
  const id = newRoom()
  const mine = dial(atrium, "alice").chat.room(id)
  const theirs = dial(atrium, "bob").chat.room(id)
  theirs.subscribe(() => {})
  mine.subscribe(() => {})
  await until("both are in", () => mine.value.memberCount === 2)
  for (let i = 0; i < 50; i++) mine.typing()
  await until("Bob sees it", () => theirs.value.typing.length === 1)
  expect(theirs.value.typing).toEqual([{ userId: "alice", username: "Alice" }])
  mine.typing(false)
  await until("it ended", () => theirs.value.typing.length === 0)
  mine.typing()
  await until("Bob sees it again", () => theirs.value.typing.length === 1)
  await mine.send("done")
  await until("it ended", () => theirs.value.typing.length === 0)
})

test("older messages come by the page", async () => {
  const id = newRoom()
  const alice = dial(atrium, "alice").chat.room(id)
  const stay = alice.subscribe(() => {})
  for (let i = 1; i <= 120; i++) await call(atrium, "POST", `rooms/${id}/messages`, { content: `${i}` })
  await until("all", () => alice.value.lastSeq === 120)
  const bob = dial(atrium, "bob").chat.room(id)
  bob.subscribe(() => {})
  await until("the last page", () => bob.value.status === "joined")
  expect(contents(bob)).toEqual(Array.from({ length: 50 }, (_, i) => `${i + 71}`))
  expect(bob.value.more).toBe(true)
  await bob.older(60)
  expect(contents(bob)[0]).toBe("11")
  await bob.older()
  expect(contents(bob)).toEqual(Array.from({ length: 120 }, (_, i) => `${i + 1}`))
  expect(bob.value.more).toBe(false)
  stay()
})

test("long messages make short pages", async () => {
  const id = newRoom()
  const long = "x".repeat(16 << 10)
  for (let i = 0; i < 20; i++) await call(atrium, "POST", `rooms/${id}/messages`, { content: long })
  const room = dial(atrium, "bob").chat.room(id)
  room.subscribe(() => {})
  await until("the last page", () => room.value.status === "joined")
  expect(room.value.messages.length).toBeLessThan(20)
  while (room.value.more) await room.older()
  expect(room.value.messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
})

test("who stops subscribing leaves, and comes back to what was said", async () => {
  const id = newRoom()
  const mine = dial(atrium, "alice").chat.room(id)
  const theirs = dial(atrium, "bob").chat.room(id)
  theirs.subscribe(() => {})
  const leave = mine.subscribe(() => {})
  await until("both are in", () => theirs.value.memberCount === 2)
  leave()
  await until("Alice has left", () => theirs.value.memberCount === 1)
  await theirs.send("are you there?")
  await mine.send("I can speak without listening") // joins for as long as it takes
  mine.subscribe(() => {})
  await until("she is back", () => contents(mine).length === 2)
  await until("she is in", () => theirs.value.memberCount === 2)
})

test("what is said offline is kept in bounds, and stored once", async () => {
  const network = await proxy(atrium.port)
  const id = newRoom()
  const alice = dial(network, "alice", { queue: 5 })
  const mine = alice.chat.room(id)
  mine.subscribe(() => {})
  const theirs = dial(atrium, "bob").chat.room(id)
  theirs.subscribe(() => {})
  await until("both are in", () => mine.value.memberCount === 2)
  network.refuse()
  await until("offline", () => alice.state === "offline")
  const sent = [1, 2, 3, 4, 5].map((n) => mine.send(`kept ${n}`))
  await expect(mine.send("too much")).rejects.toMatchObject({ code: "queue_full" })
  expect(mine.value.pending.map(({ content }) => content)).toEqual([1, 2, 3, 4, 5].map((n) => `kept ${n}`))
  await theirs.send("meanwhile")
  await network.allow()
  await Promise.all(sent)
  await until("Bob has all", () => theirs.value.lastSeq === 6)
  expect(contents(theirs)).toEqual(["meanwhile", ...[1, 2, 3, 4, 5].map((n) => `kept ${n}`)])
  await until("Alice too", () => mine.value.lastSeq === 6)
  expect(contents(mine)).toEqual(contents(theirs))
  expect(mine.value.pending).toEqual([])
  network.refuse()
})

test("more is said at once than the server takes, and all of it arrives in order", async () => {
  const id = newRoom()
  const alice = dial(atrium, "alice").chat.room(id)
  alice.subscribe(() => {})
  const wanted = Array.from({ length: 40 }, (_, i) => `${i}`)
  await Promise.all(wanted.map((text) => alice.send(text)))
  await until("the last is told", () => alice.value.lastSeq === wanted.length)
  expect(contents(alice)).toEqual(wanted)
  expect(alice.value.pending).toEqual([])
})
