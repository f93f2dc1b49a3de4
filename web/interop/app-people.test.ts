// People in Atrium's own app: chat, and what rings their bells.

import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { expect, test } from "vitest"
import { apiKey, type Atrium, token } from "./atrium.ts"
import { away, type Person, useBrowser, type Visit } from "./browser.ts"
import { useAtrium } from "./fixture.ts"
import { proxy } from "./proxy.ts"
import { until } from "./wait.ts"

const atrium = useAtrium({ dev: true })
const strict = useAtrium()
const { visit } = useBrowser()

async function come(name: string, path = "/", settings?: Visit): Promise<Person> {
  return (await visit(atrium.http + path, settings)).signIn(name)
}

/** A new document: a page, with a room of its own. */
async function newRoom(server = atrium): Promise<{ path: string; roomId: string }> {
  const text = "What we need by Friday:\n\n- the second table, with names for its columns\n- a word from the printers\n"
  const { documentId } = (await call(server, "documents", { content: { title: "Report", text } })) as { documentId: string }
  return { path: `/d/${documentId}`, roomId: `document-${documentId}` }
}

const box = ({ page }: Person) => page.getByRole("textbox", { name: "Message", exact: true })
const log = ({ page }: Person) => page.getByRole("log")
const line = (person: Person, text: string) => log(person).locator(".message").filter({ hasText: text })
const bell = ({ page }: Person, unread = 0) =>
  page.getByRole("button", { name: unread > 0 ? `Notifications, ${unread} unread` : "Notifications", exact: true })
const titled = (person: Person, start: RegExp) =>
  until(`its title is like ${start}`, async () => start.test(await person.page.title()))
const top = (person: Person, text: string) => line(person, text).evaluate((row) => row.getBoundingClientRect().top)

async function say(person: Person, text: string): Promise<void> {
  await box(person).fill(text)
  await box(person).press("Enter")
}

/** Calls the server as a backend does that has nothing but curl. */
async function curl(path: string, body: object): Promise<void> {
  const headers = ["-H", `Authorization: Bearer ${apiKey}`, "-H", "Content-Type: application/json"]
  await promisify(execFile)("curl", ["-sSf", ...headers, "-d", JSON.stringify(body), `${atrium.http}/api/v1/${path}`])
}

/** Calls a server as a backend does. */
async function call({ http }: Atrium, path: string, body: object): Promise<unknown> {
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" }
  const answer = await fetch(`${http}/api/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) })
  expect(answer.status).toBe(201)
  return answer.json()
}

/** Puts messages into a room. */
async function fill(roomId: string, contents: string[]): Promise<void> {
  for (const content of contents) await call(atrium, `rooms/${roomId}/messages`, { content, userId: "zoe" })
}

test("two people talk: said, answered, changed and taken back", async () => {
  const { path } = await newRoom()
  const [alice, bob] = [await come("Alice", path), await come("Bob", path)]
  await bob.page.getByRole("button", { name: "2 here" }).waitFor()
  const typing = bob.page.getByText("Alice is typing…")
  await box(alice).pressSequentially("Hello")
  await typing.waitFor()
  await box(alice).press("Enter")
  await line(bob, "Hello").waitFor()
  await typing.waitFor({ state: "detached" })
  await box(alice).pressSequentially("Hm")
  await typing.waitFor()
  await box(alice).fill("")
  await typing.waitFor({ state: "detached" })

  await say(alice, "See https://example.com/a_(b). <b>No markup</b>")
  const link = line(bob, "No markup").getByRole("link")
  expect(await link.getAttribute("href")).toBe("https://example.com/a_(b)")
  expect(await link.getAttribute("rel")).toContain("noopener")
  await say(alice, "javascript:alert(1) and //example.org")
  await line(bob, "javascript:alert(1)").waitFor()
  expect(await line(bob, "javascript:alert(1)").getByRole("link").count()).toBe(0)

  await line(bob, "Hello").hover()
  await line(bob, "Hello").getByRole("button", { name: "Reply" }).click()
  await say(bob, "And to you")
  await line(alice, "And to you").getByText("Alice: Hello").waitFor()
  await box(bob).fill("one")
  await box(bob).press("Shift+Enter")
  await box(bob).pressSequentially("two")
  await box(bob).press("Enter")
  expect(await line(alice, "one").locator("p").innerText()).toBe("one\ntwo")

  // By keyboard only: up into the last one, Escape, and up again.
  await box(alice).press("ArrowUp")
  const change = alice.page.getByRole("textbox", { name: "Change the message" })
  await change.fill("nonsense")
  await change.press("Escape")
  await change.waitFor({ state: "detached" })
  await alice.page.keyboard.press("ArrowUp")
  await change.fill("Never mind")
  await change.press("Enter")
  await line(bob, "Never mind").getByText("(edited)").waitFor()
  expect(await alice.page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe("Message")

  expect(await line(bob, "Hello").first().getByRole("button", { name: "Edit" }).count()).toBe(0)
  await line(alice, "Never mind").getByRole("button", { name: "Delete" }).focus()
  await alice.page.keyboard.press("Enter")
  await alice.page.getByRole("group", { name: "Delete this message?" }).waitFor()
  await alice.page.keyboard.press("Enter")
  await line(bob, "This message was deleted.").waitFor()
  expect(await line(bob, "Never mind").count()).toBe(0)
})

test("what is unread stands in the tab's title until it is seen", async () => {
  const { path, roomId } = await newRoom()
  const alice = await come("Alice", path)
  await fill(roomId, Array.from({ length: 60 }, (_, i) => `Note ${i}`))
  await line(alice, "Note 59").waitFor()
  await titled(alice, /^[^(]/)

  await alice.page.getByRole("button", { name: "Hide the chat" }).click()
  await fill(roomId, ["Psst", "Hey"])
  await titled(alice, /^\(2\) /)
  expect(await alice.page.locator("link[rel=icon]").getAttribute("href")).toContain("data:image/svg+xml")
  await alice.page.getByRole("button", { name: "Chat 2 unread" }).press("Enter")
  await alice.page.getByText("New", { exact: true }).waitFor()
  await titled(alice, /^[^(]/)
  expect(await alice.page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe("Message")

  // Further up nothing moves, and what comes waits for her.
  await log(alice).hover()
  await alice.page.mouse.wheel(0, -500)
  const fromEnd = () => log(alice).evaluate((list) => list.scrollHeight - list.scrollTop - list.clientHeight)
  await until("it has scrolled", async () => (await fromEnd()) > 400)
  const before = await top(alice, "Note 40")
  await fill(roomId, ["Down here"])
  await titled(alice, /^\(1\) /)
  expect(await top(alice, "Note 40")).toBeCloseTo(before, 0)
  await alice.page.getByRole("button", { name: "1 new message" }).click()
  await titled(alice, /^[^(]/)

  // In a tab that nobody looks at.
  const look = (seen: boolean) =>
    alice.page.evaluate((seen) => {
      document.hasFocus = () => seen
      window.dispatchEvent(new Event(seen ? "focus" : "blur"))
    }, seen)
  await look(false)
  await fill(roomId, ["Anybody there?"])
  await titled(alice, /^\(1\) /)
  await look(true)
  await titled(alice, /^[^(]/)

  // Read here is read in her other tab, too.
  const other = await (await visit(atrium.http + path, { beside: alice })).signIn("Alice")
  await line(other, "Anybody there?").waitFor()
  await titled(other, /^[^(]/)
})

test("older messages come while one scrolls, and nothing jumps", async () => {
  const { path, roomId } = await newRoom()
  await fill(roomId, Array.from({ length: 120 }, (_, i) => `Number ${i}.`))
  const alice = await come("Alice", path)
  await line(alice, "Number 119.").waitFor()
  expect(await line(alice, "Number 60.").count()).toBe(0)
  await log(alice).focus()
  await alice.page.keyboard.press("Home")
  await line(alice, "Number 60.").waitFor()
  // The one that was first is where it was, about: below the button that was above it.
  expect(Math.abs((await top(alice, "Number 70.")) - (await log(alice).boundingBox())!.y)).toBeLessThan(120)
  const seen = await top(alice, "Number 70.")
  await log(alice).evaluate((list) => list.scrollBy(0, -1))
  expect(await top(alice, "Number 70.")).toBeCloseTo(seen + 1, 0)
  while (await alice.page.getByRole("button", { name: "Older messages" }).count()) {
    await alice.page.getByRole("button", { name: "Older messages" }).evaluate((button: HTMLElement) => button.click())
    await until("they have come", async () => (await alice.page.getByRole("button", { name: "Loading…" }).count()) === 0)
  }
  await line(alice, "Number 0.").waitFor()
  expect(await log(alice).locator(".message").count()).toBe(120)
})

test("what is said offline waits, and is stored once", async () => {
  const { path } = await newRoom()
  const tunnel = await proxy(atrium.port)
  const bob = await come("Bob", path)
  const alice = await (await visit(tunnel.http + path, { allow: away })).signIn("Alice")
  await say(alice, "On the train")
  await line(bob, "On the train").waitFor()
  tunnel.refuse()
  await alice.page.getByRole("status").getByText(/^Offline/).waitFor()
  await say(alice, "In the tunnel")
  await say(alice, "Still in it")
  await line(alice, "Still in it").getByText("Waiting for the connection").waitFor()
  await alice.accessible()
  await alice.picture("chat-offline")
  await say(bob, "Where are you?")
  await tunnel.allow()
  await alice.online()
  await line(bob, "Still in it").waitFor()
  await until("nothing waits", async () => (await alice.page.getByText(/Waiting for the connection|Sending…/).count()) === 0)
  for (const person of [alice, bob]) {
    const texts = await log(person).locator(".message .body > p:not(.to)").allInnerTexts()
    expect(texts).toEqual(["On the train", "Where are you?", "In the tunnel", "Still in it"])
  }
})

test("what is too long or refused stays in the box, with the reason", async () => {
  const { path } = await newRoom(strict)
  const rita = await visit(strict.http + path)
  await rita.page.getByLabel("Your token").fill(token({ sub: "rita", rooms: { "*": "read" } }))
  await rita.page.keyboard.press("Enter")
  await rita.online()
  await box(rita).fill("é".repeat(8193))
  await rita.page.getByRole("alert").getByText("A message has at most 16 KiB; this one has 16.0.").waitFor()
  expect(await rita.page.getByRole("button", { name: "Send" }).isDisabled()).toBe(true)
  await say(rita, "May I?")
  await rita.page.getByRole("alert").getByText("Not sent").waitFor()
  expect(await box(rita).inputValue()).toBe("May I?")
  await rita.accessible()

  const { page } = await visit(strict.http + path)
  await page.getByLabel("Your token").fill(token({ sub: "who", rooms: {} }))
  await page.keyboard.press("Enter")
  await page.getByText("You may not read what is said here.").waitFor()
})

test("a mention rings, and leads to where it was said", async () => {
  const { path } = await newRoom()
  const [alice, bob] = [await come("Alice", path), await come("Bob", path)]
  await bob.page.getByRole("button", { name: "2 here" }).waitFor()
  await alice.page.getByRole("link", { name: "Dashboard" }).click()
  await box(bob).pressSequentially("Ask @al")
  await bob.page.getByRole("option", { name: "Alice" }).waitFor()
  await bob.accessible()
  await bob.page.keyboard.press("Enter")
  await until("it is completed", async () => (await box(bob).inputValue()) === "Ask @{alice} ")
  await box(bob).press("Enter")
  await line(bob, "Ask @Alice").waitFor()
  await alice.page.getByText("Ask @Alice").waitFor()
  await bell(alice, 1).click()
  await alice.page.getByRole("dialog", { name: "Notifications" }).getByRole("button", { name: /Bob mentioned you/ }).click()
  await until("she is there", () => new URL(alice.page.url()).pathname === path)
  await line(alice, "Ask @Alice").waitFor()
  await bell(alice).waitFor()
})

test("a push by curl rings in both of a user's tabs, and reading it in one is reading it in both", async () => {
  const one = await come("Dora")
  const two = await (await visit(atrium.http, { beside: one })).signIn("Dora")
  await bell(one).waitFor()
  await curl("users/dora/notifications", { kind: "order", title: "Order 17 was shipped", body: "It arrives tomorrow." })
  await curl("users/dora/notifications", { kind: "order", title: "Order 18 was paid" })
  for (const tab of [one, two]) {
    await bell(tab, 2).waitFor()
    await tab.page.getByRole("status").getByText("Order 17 was shipped").waitFor()
    await titled(tab, /^\(2\) /)
  }
  await bell(one, 2).press("Enter")
  const inbox = one.page.getByRole("dialog", { name: "Notifications" })
  await inbox.getByRole("button", { name: /Unread: .*Order 17/ }).click()
  await Promise.all([one, two].map((tab) => bell(tab, 1).waitFor()))
  await inbox.getByRole("button", { name: "Mark all as read" }).click()
  await Promise.all([one, two].flatMap((tab) => [bell(tab).waitFor(), titled(tab, /^[^(]/)]))
  await one.page.keyboard.press("Escape")
  await inbox.waitFor({ state: "detached" })
  expect(await one.page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe("Notifications")
})

test("an inbox of many pages, and an empty one", async () => {
  for (let i = 1; i <= 70; i++) await call(atrium, "users/emil/notifications", { kind: "count", title: `This is ${i}.` })
  const emil = await come("Emil")
  await bell(emil, 70).click()
  const inbox = emil.page.getByRole("dialog", { name: "Notifications" })
  await inbox.getByText("This is 70.").waitFor()
  expect(await inbox.getByRole("listitem").count()).toBe(50)
  await inbox.getByRole("button", { name: "Older" }).click()
  await inbox.getByText("This is 1.").waitFor({ state: "attached" })
  await inbox.getByRole("button", { name: "Older" }).waitFor({ state: "detached" })
  expect(await inbox.getByRole("listitem").count()).toBe(70)
  await emil.page.getByRole("heading", { name: "Documents" }).click()
  await inbox.waitFor({ state: "detached" })

  const fay = await come("Fay")
  await bell(fay).click()
  await fay.page.getByText("You have no notifications.").waitFor()
  await fay.accessible()
})

for (const colorScheme of ["light", "dark"] as const) {
  test(`how it looks, in ${colorScheme}`, async () => {
    const { path } = await newRoom()
    const alice = await come("Alice Liddell", path, { colorScheme })
    const bob = await come("Bob", path)
    await say(bob, "Good morning! The plan for today is in https://example.com/plans/2026-11, please read it.")
    await say(bob, "And @{alice-liddell}, could you have a look at the numbers?")
    await line(alice, "the numbers").waitFor()
    await say(alice, "Of course.")
    await say(alice, "They look fine to me. I would move the second table up, and name the columns as the others have them.")
    await line(alice, "They look fine").waitFor()
    await say(alice, "Gone in a moment")
    await box(alice).press("ArrowUp")
    await alice.accessible()
    await alice.picture(`chat-editing-${colorScheme}`)
    await alice.page.keyboard.press("Escape")
    await line(alice, "Gone in a moment").last().hover()
    await alice.accessible()
    await alice.picture(`chat-actions-${colorScheme}`)
    await line(alice, "Gone in a moment").last().getByRole("button", { name: "Delete" }).click()
    await alice.accessible()
    await alice.page.keyboard.press("Enter")
    await line(alice, "This message was deleted").last().waitFor()
    await box(bob).pressSequentially("Thanks")
    await alice.page.getByText("Bob is typing…").waitFor()
    await alice.page.getByRole("button", { name: "2 here" }).click()
    await alice.page.getByLabel("Your status").selectOption("busy")
    await until("it is set", () => alice.page.locator('.presence[data-status="busy"]').count())
    await alice.accessible()
    await alice.picture(`chat-${colorScheme}`)

    await bell(alice, 1).click()
    await alice.accessible()
    await alice.picture(`inbox-${colorScheme}`)
    await alice.page.keyboard.press("Escape")
    const failed = { kind: "build", title: "Build 812 has failed", body: "3 of 1,204 tests do not pass." }
    await curl("users/alice-liddell/notifications", failed)
    await alice.page.getByRole("status").getByText("Build 812").waitFor()
    await alice.accessible()
    await alice.picture(`toast-${colorScheme}`)

    await alice.page.setViewportSize({ width: 390, height: 800 })
    await alice.picture(`chat-narrow-${colorScheme}`)
    await bell(alice, 2).click()
    await alice.picture(`inbox-narrow-${colorScheme}`)
    await alice.page.keyboard.press("Escape")
    await box(alice).press("Escape") // the list of people
    await box(alice).press("Escape") // the chat
    await say(bob, "See you later")
    await alice.page.getByRole("button", { name: "Chat 1 unread" }).waitFor()
    await alice.accessible()
    await alice.picture(`chat-closed-narrow-${colorScheme}`)
    await alice.page.getByRole("button", { name: "Chat 1 unread" }).click()
    await alice.page.setViewportSize({ width: 1280, height: 800 })
    await bell(alice, 2).click()
    await alice.page.getByRole("button", { name: "Mark all as read" }).click()
    await bell(alice).waitFor()
  })
}
