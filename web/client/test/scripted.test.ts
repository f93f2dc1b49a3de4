// What happens between a server's messages: orders that are rare, and messages that are wrong.

import { expect, test } from "vitest"
import { until } from "../../interop/wait.ts"
import { room, said, Scripted } from "./scripted.ts"

const limited = { code: "rate_limited", message: "too many messages", retryable: true, retryAfterMs: 1_500 }
const moment = (ms = 50) => new Promise((resolve) => setTimeout(resolve, ms))

test("what waits for its turn when the connection is lost is asked on the next one", async () => {
  const server = new Scripted()
  let joins = 0
  server.answers = { "chat:join": () => (joins++ === 0 ? limited : room(1)), "chat:message": () => limited }
  const r = server.client.chat.room("r")
  r.subscribe(() => {})
  await until("it was put off", () => joins === 1)
  server.close(4401) // it comes back at once
  await until("it is in the room", () => r.value.status === "joined")

  const sent = r.send("hello")
  await until("it was put off", () => server.of("chat:message").length === 1)
  server.answers["chat:message"] = ({ clientId }) => ({ message: said(2, { content: "hello", clientId, user: { id: "alice" } }) })
  server.close(4401)
  expect(await sent).toMatchObject({ content: "hello" })
})

test("a listener that throws stops neither the others nor the connection", async () => {
  const [uncaught, heard]: [unknown[], unknown[]] = [[], []]
  const [theirs, mine] = [process.listeners("uncaughtException"), (error: unknown) => void uncaught.push(error)]
  process.removeAllListeners("uncaughtException").on("uncaughtException", mine)
  try {
    const fail = () => {
      throw new Error("the application's")
    }
    const server = new Scripted()
    server.answers = { "chat:join": () => room(1) }
    server.client.on("state", fail)
    const r = server.client.chat.room("r")
    r.subscribe(fail)
    r.on(fail)
    r.on(({ seq }) => heard.push(seq))
    server.client.events.on("e", fail)
    server.client.events.on("e", ({ event }) => heard.push(event))
    await until("it is in the room", () => r.value.status === "joined")
    server.say(said(2))
    server.say({ type: "event", event: "e", data: null })
    expect(heard).toEqual([2, "e"])
    server.client.close()
    await moment()
    expect(uncaught.length).toBeGreaterThanOrEqual(5)
    expect(new Set(uncaught.map(String))).toEqual(new Set(["Error: the application's"]))
  } finally {
    process.off("uncaughtException", mine)
    for (const listener of theirs) process.on("uncaughtException", listener)
  }
})

test.each([
  ["no CBOR", new Uint8Array([0xff])],
  ["nothing", new Uint8Array()],
  ["null", new Uint8Array([0xf6])],
  ["a map of nothing", new Uint8Array([0xa0])],
])("after a frame that is %s it comes back", async (_, frame) => {
  const server = await new Scripted().online()
  const errors: string[] = []
  server.client.on("error", ({ code }) => errors.push(code))
  server.frame(frame)
  await until("it is back", () => server.connections === 2 && server.client.state === "online")
  expect(errors).toEqual(["bad_request"])
})

test("after an answer that lacks what it must have it asks again", async () => {
  const server = new Scripted()
  let joins = 0
  server.answers = { "chat:join": () => (joins++ === 0 ? {} : room(1)) }
  const r = server.client.chat.room("r")
  r.subscribe(() => {})
  await until("it is in the room", () => r.value.status === "joined")
  server.say({ type: "chat:message", roomId: "r", seq: 2 }) // by nobody
  await until("it is back", () => joins === 3 && r.value.status === "joined")
})

test("there are older messages if the first one shown is not the room's first", async () => {
  const server = new Scripted()
  server.answers = { "chat:join": () => room(0, { lastSeq: 9, messages: [said(8), said(9)] }) } // long ones: a page of few
  const r = server.client.chat.room("r")
  r.subscribe(() => {})
  await until("it is in the room", () => r.value.status === "joined")
  expect(r.value.more).toBe(true)
  server.answers = { "chat:join": () => room(9) }
  const all = server.client.chat.room("all")
  all.subscribe(() => {})
  await until("it is in the room", () => all.value.status === "joined")
  expect(all.value.more).toBe(false)
})

test("unread counts what others have said behind the mark, and no more", async () => {
  const server = new Scripted()
  server.answers = { "chat:join": () => room(2, { unread: 2 }) }
  const r = server.client.chat.room("r")
  r.subscribe(() => {})
  await until("it is in the room", () => r.value.status === "joined")
  server.say({ type: "chat:deleted", roomId: "r", seq: 3, messageId: "m1", userId: "bob", deletedAt: "" })
  expect(r.value.unread).toBe(1)
  server.answers["chat:read"] = () => undefined
  r.read()
  await until("it is asked", () => server.of("chat:read").length === 1)
  server.say(said(4)) // overtakes the answer that was made before it
  server.say({ type: "ack", id: server.of("chat:read")[0]!.id, unread: 0 })
  expect(r.value.unread).toBe(1)
  server.say({ type: "chat:read", roomId: "r", seq: 4, unread: 0 }) // in another session
  expect(r.value).toMatchObject({ unread: 0, readSeq: 4 })
})

test("an older page comes also if the first message is edited meanwhile", async () => {
  const server = new Scripted()
  server.answers = { "chat:join": () => room(0, { lastSeq: 3, messages: [said(3)] }), "chat:history": () => undefined }
  const r = server.client.chat.room("r")
  r.subscribe(() => {})
  await until("it is in the room", () => r.value.status === "joined")
  const older = r.older()
  await until("it is asked", () => server.of("chat:history").length === 1)
  server.say({ type: "chat:edited", roomId: "r", seq: 4, messageId: "m3", content: "edited", userId: "bob", editedAt: "" })
  server.say({ type: "ack", id: server.of("chat:history")[0]!.id, messages: [said(1), said(2)], more: false })
  await older
  expect(r.value.messages.map(({ content }) => content)).toEqual(["1", "2", "edited"])
})

test("what was stored before the answer was lost is never shown twice", async () => {
  const server = new Scripted()
  server.answers = { "chat:join": () => room(0), "chat:message": () => undefined }
  const r = server.client.chat.room("r")
  r.subscribe(() => {})
  await until("it is in the room", () => r.value.status === "joined")
  const sent = r.send("mine")
  await until("it is sent", () => server.of("chat:message").length === 1)
  const mine = said(1, { content: "mine", clientId: server.of("chat:message")[0]!.clientId, user: { id: "alice" } })
  const shown: number[] = []
  r.subscribe(() => shown.push(r.value.messages.length + r.value.pending.length))
  server.answers = { "chat:join": () => room(0, { lastSeq: 1, messages: [mine] }), "chat:message": () => ({ message: mine }) }
  server.close(4401)
  expect(await sent).toMatchObject({ content: "mine" })
  expect(new Set(shown)).toEqual(new Set([1]))
})

test("what may not be said in one room leaves the others, and what is subscribed to, alone", async () => {
  const server = new Scripted()
  server.answers = { "chat:join": () => room(1), "presence:subscribe": () => ({ users: [] }) }
  const r = server.client.chat.room("r")
  r.subscribe(() => {})
  server.client.presence.user("bob").subscribe(() => {})
  await until("it is in the room", () => r.value.status === "joined")
  server.say({ type: "error", code: "forbidden", message: "this document may only be read", retryable: false })
  await moment()
  expect(server.of("chat:join").length + server.of("presence:subscribe").length).toBe(2)
})

test("what is sent after the end is rejected", async () => {
  const server = await new Scripted().online()
  server.client.close()
  const late = Promise.all([
    expect(server.client.chat.room("r").send("late")).rejects.toMatchObject({ code: "offline" }),
    expect(server.client.notifications.markRead("all")).rejects.toMatchObject({ code: "offline" }),
  ])
  await Promise.race([late, moment(1_000).then(() => Promise.reject(new Error("they wait for ever")))])
})

const one = (seq: number, read = false) => ({ id: `n${seq}`, seq, kind: "k", title: `${seq}`, body: "", data: null, createdAt: "", read })

test("an inbox that is read elsewhere while it is listed is listed again", async () => {
  const server = new Scripted()
  server.answers = { "notification:list": () => undefined }
  const inbox = server.client.notifications
  inbox.subscribe(() => {})
  await until("it is asked", () => server.of("notification:list").length === 1)
  server.say({ type: "notification:read", all: true, unread: 0 })
  server.answers["notification:list"] = () => ({ notifications: [one(1, true)], unread: 0, more: false })
  server.say({ type: "ack", id: server.of("notification:list")[0]!.id, notifications: [one(1)], unread: 1, more: false }) // from before
  await until("it is read", () => inbox.value.unread === 0 && inbox.value.notifications[0]?.read)
})

test("an inbox that is left while it is listed is not loaded, and what came meanwhile is not news", async () => {
  const server = new Scripted()
  server.answers = { "notification:list": () => undefined }
  const inbox = server.client.notifications
  const leave = inbox.subscribe(() => {})
  await until("it is asked", () => server.of("notification:list").length === 1)
  leave()
  await moment(1_200)
  server.say({ type: "ack", id: server.of("notification:list")[0]!.id, notifications: [one(1)], unread: 1, more: false })
  expect(inbox.value.loaded).toBe(false)
  await moment()
  server.answers["notification:list"] = () => ({ notifications: [one(2), one(1)], unread: 2, more: false })
  const heard: string[] = []
  inbox.on(({ title }) => heard.push(title))
  await until("it is loaded", () => inbox.value.loaded)
  expect(heard).toEqual([])
})

test("a document's access is what the newest token grants", async () => {
  let access = "read"
  let asked = 0
  const server = new Scripted({ getToken: () => `x.${btoa(JSON.stringify({ iat: 0, exp: 1, jti: asked++ }))}.x` })
  server.answers = { "collab:join_document": () => ({ access, users: [], heads: [] }) }
  const document = server.client.documents.open("d")
  document.subscribe(() => {})
  await until("it is joined", () => document.value.status === "joined")
  access = "write"
  await until("it may be written", () => document.value.access === "write", 5_000)
})

test("a token that was fetched for a call over HTTP refreshes the session, too", async () => {
  let asked = 0
  const jwt = (seconds: number) => `x.${btoa(JSON.stringify({ iat: 0, exp: Date.now() / 1_000 + seconds }))}.x`
  const getToken = () => {
    if (++asked === 2) throw new Error("the backend is away")
    return jwt(asked === 1 ? 3 : 3_600)
  }
  const server = await new Scripted({ getToken }).online()
  await until("it is refreshed, in vain", () => asked === 2)
  await server.client.fetch("x").catch(() => {})
  expect(asked).toBe(3)
  await until("the session has it", () => server.of("auth").length === 1, 3_000)
  await moment(1_500)
  expect(server.of("auth").length).toBe(1)
})

test("64-bit integers, as other clients may write them, are numbers", async () => {
  const server = await new Scripted().online()
  const heard: unknown[] = []
  server.client.events.on("e", ({ data }) => heard.push(data))
  server.say({ type: "event", event: "e", data: [5_000_000_000n, -5_000_000_000n] })
  expect(heard).toEqual([[5_000_000_000, -5_000_000_000]])
})
