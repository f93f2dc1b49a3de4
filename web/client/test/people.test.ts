// The inbox, who is online, metrics, and backends' events.

import type { BackendEvent, Notification } from "atrium-client"
import { expect, test } from "vitest"
import { useAtrium } from "../../interop/fixture.ts"
import { proxy } from "../../interop/proxy.ts"
import { until } from "../../interop/wait.ts"
import { call, dial, everything, online } from "./clients.ts"

const atrium = useAtrium()
const notify = (userId: string, title: string) => call(atrium, "POST", `users/${userId}/notifications`, { kind: "test", title })
const titles = (notifications: readonly Notification[]) => notifications.map(({ title }) => title)

test("notifications come once each, also those of the time away", async () => {
  await notify("alice", "before")
  const network = await proxy(atrium.port)
  const alice = dial(network, "alice")
  const heard: string[] = []
  alice.notifications.on(({ title }) => heard.push(title))
  await until("the inbox is there", () => alice.notifications.value.loaded)
  expect(alice.notifications.value).toMatchObject({ unread: 1, more: false, notifications: [{ title: "before", kind: "test", read: false, data: null }] })
  await notify("alice", "now")
  await until("it comes", () => alice.notifications.value.unread === 2)
  network.refuse()
  await until("offline", () => alice.state === "offline")
  for (const n of [1, 2, 3]) await notify("alice", `away ${n}`)
  await network.allow()
  await until("they come", () => alice.notifications.value.unread === 5)
  await notify("alice", "after")
  await until("it comes", () => alice.notifications.value.unread === 6)
  expect(heard).toEqual(["now", "away 1", "away 2", "away 3", "after"])
  expect(titles(alice.notifications.value.notifications)).toEqual(["after", "away 3", "away 2", "away 1", "now", "before"])
  network.refuse()
})

test("the first one in an empty inbox is heard, also if it came while away", async () => {
  const network = await proxy(atrium.port)
  const client = dial(network, "empty")
  const heard: string[] = []
  client.notifications.on(({ title }) => heard.push(title))
  await until("the inbox is there", () => client.notifications.value.loaded)
  network.refuse()
  await until("offline", () => client.state === "offline")
  await notify("empty", "first")
  await network.allow()
  await until("it is heard", () => heard.length > 0)
  expect(heard).toEqual(["first"])
  network.refuse()
})

test("reading in one client is reading in all", async () => {
  for (let i = 1; i <= 4; i++) await notify("bob", `${i}`)
  const [one, two] = [dial(atrium, "bob").notifications, dial(atrium, "bob").notifications]
  one!.subscribe(() => {})
  two!.subscribe(() => {})
  await until("both have it", () => one!.value.unread === 4 && two!.value.unread === 4)
  const ids = one!.value.notifications.map(({ id }) => id)
  expect(await one!.markRead(ids[0]!)).toBe(3)
  expect(await one!.markRead(ids.slice(1, 3))).toBe(1)
  await until("the other knows", () => two!.value.unread === 1)
  expect(two!.value.notifications.map(({ read }) => read)).toEqual([true, true, true, false])
  expect(await two!.markRead("all")).toBe(0)
  await until("the first knows", () => one!.value.unread === 0 && one!.value.notifications.every(({ read }) => read))
  await expect(one!.markRead("019c2f4b-0000-7000-8000-000000000000")).rejects.toMatchObject({ code: "not_found" })
})

test("what is read offline is marked later", async () => {
  const network = await proxy(atrium.port)
  await notify("carol", "one")
  const carol = dial(network, "carol")
  carol.notifications.subscribe(() => {})
  await until("it is there", () => carol.notifications.value.unread === 1)
  network.refuse()
  await until("offline", () => carol.state === "offline")
  const marked = carol.notifications.markRead("all")
  await network.allow()
  expect(await marked).toBe(0)
  await until("it is read", () => carol.notifications.value.notifications[0]!.read)
  network.refuse()
})

test("older notifications come by the page", async () => {
  for (let i = 1; i <= 70; i++) await notify("dave", `${i}`)
  const { notifications } = dial(atrium, "dave")
  notifications.subscribe(() => {})
  await until("the newest", () => notifications.value.loaded)
  expect(notifications.value.notifications.length).toBe(50)
  expect(notifications.value.more).toBe(true)
  await notifications.older()
  expect(titles(notifications.value.notifications)).toEqual(Array.from({ length: 70 }, (_, i) => `${70 - i}`))
  expect(notifications.value.more).toBe(false)
})

test("presence: set, gone, back, and after a reconnect", async () => {
  const network = await proxy(atrium.port)
  const watcher = dial(network, "watcher")
  const [erin, nobody] = [watcher.presence.user("erin"), watcher.presence.user("nobody")]
  erin!.subscribe(() => {})
  const forget = nobody!.subscribe(() => {})
  await until("both are known", () => erin!.value && nobody!.value)
  expect(nobody!.value).toEqual({ userId: "nobody", status: "offline", lastSeen: null })
  const there = dial(atrium, "erin")
  await until("online", () => erin!.value!.status === "online")
  await there.presence.set("busy")
  await until("busy", () => erin!.value!.status === "busy")
  network.refuse()
  await until("the watcher is offline", () => watcher.state === "offline")
  there.close()
  await network.allow()
  await until("it learns of it", () => erin!.value!.status === "offline", 20_000)
  expect(Date.parse(erin!.value!.lastSeen!)).toBeGreaterThan(Date.now() - 30_000)
  forget()
  network.refuse()
})

test("metrics: by name and by prefix, the newest only, and again after a reconnect", async () => {
  const network = await proxy(atrium.port)
  await call(atrium, "PUT", "metrics/load.one", { value: 1 })
  const client = dial(network, "alice")
  const one = client.dashboard.metric("load.one")
  const all = client.dashboard.metrics("load.")
  const drawn: unknown[] = []
  one.subscribe(() => drawn.push(one.value!.value))
  all.subscribe(() => {})
  await until("the value", () => one.value?.value === 1)
  await call(atrium, "POST", "metrics", { metrics: [{ metric: "load.one", value: 2 }, { metric: "load.two", value: { deep: [true] } }, { metric: "other", value: 0 }] })
  await until("both", () => all.value.size === 2 && one.value?.value === 2)
  expect(all.value.get("load.two")?.value).toEqual({ deep: [true] })
  network.refuse()
  await until("offline", () => client.state === "offline")
  await call(atrium, "PUT", "metrics/load.one", { value: 3 })
  await network.allow()
  await until("the newest", () => one.value?.value === 3)
  expect(drawn).toEqual([1, 2, 3])
  expect([...all.value.keys()].sort()).toEqual(["load.one", "load.two"])
  network.refuse()
})

test("one metric that is not granted does not keep the others away", async () => {
  const client = dial(atrium, "alice", { getToken: () => everything("alice", { metrics: { "mine.*": "read" } }) })
  await call(atrium, "PUT", "metrics/mine.a", { value: 1 })
  await call(atrium, "PUT", "metrics/theirs.a", { value: 1 })
  const [mine, theirs] = [client.dashboard.metric("mine.a"), client.dashboard.metric("theirs.a")]
  mine!.subscribe(() => {})
  theirs!.subscribe(() => {})
  await until("its own", () => mine!.value?.value === 1)
  expect(theirs!.value).toBeUndefined()
})

test("backends' events, to a user and to a room", async () => {
  const alice = dial(atrium, "alice")
  const heard: BackendEvent[] = []
  const stop = alice.events.on("deploy", (event) => heard.push(event))
  const room = alice.chat.room("lobby")
  room.subscribe(() => {})
  await until("it is in the room", () => room.value.status === "joined")
  await online(alice)
  await call(atrium, "POST", "users/alice/send", { event: "deploy", data: { version: 7 } })
  await call(atrium, "POST", "rooms/lobby/broadcast", { event: "deploy" })
  await until("both", () => heard.length === 2)
  expect(heard).toEqual([{ event: "deploy", data: { version: 7 } }, { event: "deploy", data: null, roomId: "lobby" }])
  stop()
  await call(atrium, "POST", "users/alice/send", { event: "deploy" })
  await notify("alice", "a mark behind it")
  const { notifications } = alice
  notifications.subscribe(() => {})
  await until("what came behind", () => notifications.value.notifications[0]?.title === "a mark behind it")
  expect(heard.length).toBe(2)
})

test("neither does one among hundreds", async () => {
  const client = dial(atrium, "alice", { getToken: () => everything("alice", { metrics: { "mine.*": "read" } }) })
  const metrics = Array.from({ length: 400 }, (_, i) => client.dashboard.metric(`mine.${i}`))
  for (const metric of metrics) metric.subscribe(() => {})
  client.dashboard.metric("theirs.a").subscribe(() => {})
  await call(atrium, "POST", "metrics", { metrics: metrics.map(({ name }) => ({ metric: name, value: 1 })) })
  await until(() => `all values, ${client.state}`, () => metrics.every(({ value }) => value?.value === 1), 5_000)
})
