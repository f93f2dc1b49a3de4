// Documents in Atrium's own app, by people with browsers.

import { generateAutomergeUrl } from "@automerge/automerge-repo"
import { expect, test } from "vitest"
import { apiKey, token } from "./atrium.ts"
import { away, type Person, useBrowser, type Visit } from "./browser.ts"
import { useAtrium } from "./fixture.ts"
import { proxy } from "./proxy.ts"
import { RawPeer } from "./raw.ts"
import { until } from "./wait.ts"

const atrium = useAtrium({ dev: true })
const strict = useAtrium()
const { visit } = useBrowser()

/** Somebody's editor. */
const editor = ({ page }: Person) => page.getByRole("textbox", { name: "Text", exact: true })
const titleOf = ({ page }: Person) => page.getByRole("textbox", { name: "Title" })
const textOf = async (person: Person) => (await editor(person).locator(".cm-line").allInnerTexts()).map((line) => line.replace(/\n$/, "")).join("\n")
const saved = ({ page }: Person, words: string) => page.locator(".saved").getByText(words, { exact: true }).waitFor()

/** Waits until everybody's editor says the same. */
async function agree(people: Person[], text: string): Promise<void> {
  let texts: string[] = []
  await until(() => `${JSON.stringify(texts)} become ${JSON.stringify(text)}`, async () => {
    texts = await Promise.all(people.map(textOf))
    return texts.every((one) => one === text)
  })
}

/** Makes a document with some text; the page shows it then. */
async function write(person: Person, title: string, text: string): Promise<string> {
  const { page } = person
  await page.getByRole("button", { name: "New document" }).click()
  await titleOf(person).fill(title)
  await editor(person).click()
  await page.keyboard.insertText(text)
  await saved(person, "On disk")
  return new URL(page.url()).pathname
}

/** Somebody else, who opens a page. */
async function come(name: string, path: string, settings?: Visit): Promise<Person> {
  return (await visit(atrium.http + path, settings)).signIn(name)
}

/** Somebody with a token of their own, at the other server. */
async function comeWith(claims: Parameters<typeof token>[0], path: string, settings?: Visit): Promise<Person> {
  const person = await visit(strict.http + path, settings)
  await person.page.getByLabel("Your token").fill(token(claims))
  await person.page.keyboard.press("Enter")
  await person.online()
  return person
}

test("two who come first, at once, share one list", async () => {
  const people = await Promise.all([come("Alice", "/"), come("Bob", "/")])
  await people[0]!.page.getByText("There are no documents yet.").waitFor()
  await people[0]!.picture("empty")
  for (const [i, person] of people.entries()) {
    await write(person, `First ${i}`, "…")
    await person.page.getByRole("link", { name: "Documents" }).click()
  }
  for (const { page } of people) await expect.poll(() => page.getByRole("link", { name: /^First \d$/ }).count()).toBe(2)
})

test("two people write into one line at once, and see each other there", async () => {
  const alice = await come("Alice", "/")
  const path = await write(alice, "Minutes", "Agenda: ")
  const bob = await come("Bob", path)
  await agree([bob], "Agenda: ")
  await editor(bob).click()
  await bob.page.keyboard.press("Home")
  await editor(alice).click()
  await alice.page.keyboard.press("End")
  await Promise.all([
    editor(alice).pressSequentially("the quick brown fox jumps over the lazy dog", { delay: 15 }),
    editor(bob).pressSequentially("Sphinx of black quartz, judge my vow. ", { delay: 15 }),
  ])
  const both = "Sphinx of black quartz, judge my vow. Agenda: the quick brown fox jumps over the lazy dog"
  await agree([alice, bob], both)
  for (const [one, other] of [[alice, "Bob"], [bob, "Alice"]] as const) {
    await one.page.locator(".others-carets").getByText(other).waitFor({ state: "attached" })
    await one.page.getByRole("list", { name: "Here now" }).getByText(other).waitFor({ state: "attached" })
    await saved(one, "On disk")
  }
  await alice.picture("document")
})

test("without a network one writes on, and nothing is lost", async () => {
  const alice = await come("Alice", "/")
  const path = await write(alice, "Train", "Aboard.")
  const line = await proxy(atrium.port)
  const bob = await visit(line.url.replace("ws:", "http:").replace("/ws", path), { allow: away })
  await bob.signIn("Bob")
  await agree([bob], "Aboard.")
  line.refuse()
  await bob.page.getByRole("status").getByText("Offline").waitFor()
  await editor(bob).click()
  await bob.page.keyboard.press("Home")
  await editor(bob).pressSequentially("In the tunnel. ")
  await saved(bob, "Saved here")
  await editor(alice).click()
  await alice.page.keyboard.press("End")
  await editor(alice).pressSequentially(" Meanwhile, outside.")
  await bob.page.getByRole("link", { name: "Documents" }).click()
  await bob.page.getByRole("button", { name: "New document" }).click()
  await titleOf(bob).fill("Written in the tunnel")
  await editor(bob).click()
  await bob.page.keyboard.insertText("Dark.")
  await bob.page.getByRole("link", { name: "Documents" }).click()
  await bob.page.getByRole("main").getByRole("link", { name: "Train" }).click()

  await line.allow()
  await bob.online()
  await agree([alice, bob], "In the tunnel. Aboard. Meanwhile, outside.")
  await saved(bob, "On disk")
  await alice.page.getByRole("link", { name: "Documents" }).click()
  await alice.page.getByRole("main").getByRole("link", { name: "Written in the tunnel" }).click()
  await agree([alice], "Dark.")
})

test("the server restarts under people who write", async () => {
  const alice = await come("Alice", "/", { allow: away })
  const path = await write(alice, "Restart", "–")
  const bob = await come("Bob", path, { allow: away })
  await agree([bob], "–")
  await editor(bob).click()
  await bob.page.keyboard.press("Home")
  await editor(alice).click()
  await alice.page.keyboard.press("End")
  const left = "left ".repeat(12)
  const right = " right".repeat(12)
  await Promise.all([
    editor(alice).pressSequentially(right, { delay: 25 }),
    editor(bob).pressSequentially(left, { delay: 25 }),
    atrium.restart(),
  ])
  await Promise.all([alice.online(), bob.online()])
  await agree([alice, bob], `${left}–${right}`)
  await Promise.all([saved(alice, "On disk"), saved(bob, "On disk")])
})

test("undo takes back one's own words only, and a caret stays where it was", async () => {
  const alice = await come("Alice", "/")
  const path = await write(alice, "Undo", "ab")
  const bob = await come("Bob", path)
  await agree([bob], "ab")
  // Both carets are between the letters.
  for (const person of [alice, bob]) {
    await editor(person).click()
    await person.page.keyboard.press("Home")
    await person.page.keyboard.press("ArrowRight")
  }
  await bob.page.keyboard.insertText("BBB") // at once: pauses would divide it for undo
  await agree([alice, bob], "aBBBb")
  await alice.page.keyboard.insertText("AAA")
  await agree([alice, bob], "aAAABBBb")
  await alice.page.keyboard.press("Control+z")
  await agree([alice, bob], "aBBBb")
  await alice.page.keyboard.press("Control+y")
  await agree([alice, bob], "aAAABBBb")
  await bob.page.keyboard.press("Control+z")
  await agree([alice, bob], "aAAAb")
})

test("text of other programs is written on as it is: other ends of lines, and emoji", async () => {
  const text = "one\r\ntwo 😀😀"
  const alice = await come("Alice", "/")
  const answer = await alice.page.evaluate(async (content) => {
    const { token } = JSON.parse(sessionStorage.getItem("atrium.session")!) as { token: string }
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }
    return (await fetch("/api/v1/documents", { method: "POST", headers, body: JSON.stringify({ content }) })).json() as unknown
  }, { title: "Foreign", text })
  const { documentId } = answer as { documentId: string }
  const [bob, carol] = [await come("Bob", `/d/${documentId}`), await come("Carol", `/d/${documentId}`)]
  await editor(bob).getByText("two").click()
  await bob.page.keyboard.press("End")
  await bob.page.keyboard.press("ArrowLeft")
  await bob.page.keyboard.insertText("–")
  await carol.page.getByText("😀–😀").waitFor()
  const caret = carol.page.locator(".others-carets > div")
  await caret.waitFor({ state: "attached" })
  // Bob's caret stands behind the dash, and before the last sign, on Carol's page.
  const end = await editor(carol).locator(".cm-line").nth(1).evaluate((line) => {
    const range = document.createRange()
    range.selectNodeContents(line)
    return range.getBoundingClientRect().right
  })
  await expect.poll(async () => end - (await caret.boundingBox())!.x).toBeGreaterThan(10)
  expect(end - (await caret.boundingBox())!.x).toBeLessThan(30)
  await carol.page.reload()
  await carol.online()
  await carol.page.getByText("two 😀–😀").waitFor()
})

test("a title is written together", async () => {
  const alice = await come("Alice", "/")
  const bob = await come("Bob", await write(alice, "plan", "…"))
  await agree([bob], "…")
  await titleOf(bob).press("End")
  await titleOf(alice).press("Home")
  await Promise.all([
    titleOf(alice).pressSequentially("Our ", { delay: 20 }),
    titleOf(bob).pressSequentially(" for May", { delay: 20 }),
  ])
  const titles = () => Promise.all([alice, bob].map((person) => titleOf(person).inputValue()))
  await expect.poll(titles).toEqual(["Our plan for May", "Our plan for May"])
  expect(await alice.page.title()).toMatch(/Our plan for May · Atrium$/)
})

test("the list shows what another makes, renames, removes and deletes", async () => {
  const alice = await come("Alice", "/")
  const bob = await come("Bob", "/", { allow: /410/ })
  const inList = (name: string) => alice.page.getByRole("main").getByRole("link", { name, exact: true })
  await write(bob, "Groceries", "bread")
  await inList("Groceries").waitFor()
  await titleOf(bob).fill("Shopping")
  await inList("Shopping").waitFor()
  await inList("Shopping").click()
  await agree([alice], "bread")
  await alice.page.getByRole("link", { name: "Documents" }).click()

  await alice.page.getByRole("button", { name: "Remove Shopping" }).click()
  await alice.page.getByRole("dialog").waitFor()
  await alice.page.keyboard.press("Escape")
  await alice.page.getByRole("button", { name: "Remove Shopping" }).click()
  await alice.page.getByRole("button", { name: "Remove from the list" }).click()
  await inList("Shopping").waitFor({ state: "detached" })
  expect(await alice.page.evaluate(() => document.activeElement?.id)).toBe("content")
  await bob.page.getByRole("button", { name: "Put it there" }).click()
  await inList("Shopping").waitFor()
  await alice.page.getByRole("button", { name: "Remove Shopping" }).click()
  await alice.picture("remove")
  await alice.accessible()
  await alice.page.getByRole("button", { name: "Delete for everyone" }).click()
  await inList("Shopping").waitFor({ state: "detached" })
  await bob.page.getByText("This document has been deleted").waitFor()
  expect(await editor(bob).getAttribute("contenteditable")).toBe("false")

  await alice.page.getByLabel("Link to a document").fill("nonsense")
  await alice.page.keyboard.press("Enter")
  await alice.page.getByText("This is no link to a document.").waitFor()
  await bob.page.getByRole("link", { name: "Documents" }).click()
  const other = await write(bob, "Linked", "here")
  await alice.page.getByLabel("Link to a document").fill(atrium.http + other)
  await alice.page.keyboard.press("Enter")
  await agree([alice], "here")
})

test("history: a version is looked at, compared, and brought back for everyone", async () => {
  const alice = await come("Alice", "/")
  const path = await write(alice, "Draft", "Dear all,\nwe meet on Monday.")
  const bob = await come("Bob", path)
  await agree([bob], "Dear all,\nwe meet on Monday.")
  await editor(bob).click()
  await bob.page.keyboard.press("Control+End")
  for (let i = 0; i < "Monday.".length; i++) await bob.page.keyboard.press("Backspace")
  await editor(bob).pressSequentially("Friday.\nBob")
  await agree([alice], "Dear all,\nwe meet on Friday.\nBob")
  await saved(bob, "On disk")

  await alice.page.getByRole("button", { name: "History" }).click()
  const versions = alice.page.getByRole("region", { name: "History" }).getByRole("listitem").getByRole("button")
  await until("there are two versions", async () => (await versions.count()) === 2)
  expect(await versions.nth(0).innerText()).toContain("Bob")
  expect(await versions.nth(1).innerText()).toContain("You")
  await versions.nth(0).click()
  await alice.page.getByText("The document says the same now.").waitFor()
  await versions.nth(1).click()
  const past = alice.page.getByRole("group", { name: "Its text" })
  expect(await past.locator("ins").allInnerTexts()).toEqual(["Monday."])
  expect(await past.locator("del").allInnerTexts()).toEqual(["Friday.\nBob"])
  await alice.picture("history")
  await alice.accessible()
  await alice.page.getByRole("button", { name: "Restore this version" }).click()
  await agree([alice, bob], "Dear all,\nwe meet on Monday.")
  await until("there are three versions", async () => (await versions.count()) === 3)
  expect(await versions.nth(0).innerText()).toContain("restored")
  await versions.nth(2).click()
  await alice.page.getByText("The document says the same now.").waitFor()
  await alice.page.keyboard.press("Escape")
  await alice.page.keyboard.press("Escape")
  await alice.page.getByRole("region", { name: "History" }).waitFor({ state: "detached" })
  expect(await alice.page.evaluate(() => document.activeElement?.textContent)).toBe("History")
})

test("who may read cannot write; who may not is told so; what is not there comes", async () => {
  const alice = await comeWith({ sub: "alice" }, "/")
  const path = await write(alice, "Rules", "No running.")
  const id = path.slice("/d/".length)
  const rita = await comeWith({ sub: "rita", docs: { [id]: "read" } }, "/")
  await rita.page.getByRole("main").getByRole("link", { name: id }).click()
  await rita.page.getByText("You may read this document.").waitFor()
  await agree([rita], "No running.")
  await editor(rita).click()
  await rita.page.keyboard.type("Run!")
  await editor(alice).click()
  await alice.page.keyboard.press("Control+End")
  await editor(alice).pressSequentially(" Please.")
  await agree([alice, rita], "No running. Please.")
  expect(await titleOf(rita).getAttribute("readonly")).not.toBeNull()
  await rita.accessible()
  await rita.picture("reader")
  await rita.page.getByRole("link", { name: "Documents" }).click()
  await rita.page.getByRole("main").getByRole("link", { name: "Rules" }).waitFor()

  const more = ["bea", "cem", "dana", "eli", "fay", "gus", "hal"]
  const peers = await Promise.all(more.map((name) => RawPeer.dial(strict, name, id)))
  const here = alice.page.getByRole("list", { name: "Here now" })
  await here.getByText("+3 more").waitFor()
  expect(await here.getByRole("listitem").first().innerText()).toContain("Alice (you)")
  await alice.picture("people")
  await alice.accessible()
  peers.forEach((peer) => peer.hangUp())
  await here.getByText("more").waitFor({ state: "detached" })

  const mallory = await comeWith({ sub: "mallory", docs: {} }, path)
  await mallory.page.getByText("This document is not for you.").waitFor()
  await mallory.page.getByRole("link", { name: "Documents" }).click()
  await mallory.page.getByText("You have opened no document").waitFor()

  const later = generateAutomergeUrl().replace("automerge:", "")
  await alice.page.goto(`${strict.http}/d/${later}`)
  await alice.page.getByText("This document is not here yet").waitFor()
  await alice.picture("missing")
  const headers = { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" }
  const body = JSON.stringify({ documentId: later, content: { title: "Late", text: "At last." } })
  expect((await fetch(`${strict.http}/api/v1/documents`, { method: "POST", headers, body })).status).toBe(201)
  await agree([alice], "At last.")
})

test.each(["light", "dark"] as const)("everybody can use it: %s", async (colorScheme) => {
  const alice = await come("Alice", "/", { colorScheme })
  const text = [
    "# Summer party", "", "We meet on **Friday** in the *garden*; see [the map](https://example.org/map).", "",
    "- [x] tables", "- [ ] music, ~~a band~~", "", "> Bring a friend.", "", "```js", 'const guests = 12 // or so', "```",
  ].join("\n")
  const path = await write(alice, "Summer party", text)
  const bob = await come("Bob", path, { colorScheme, viewport: { width: 390, height: 780 } })
  await editor(bob).getByText("We meet").dblclick({ position: { x: 15, y: 10 } })
  await alice.page.locator(".others-selections > *").waitFor()
  await alice.accessible()
  await alice.picture(`document-${colorScheme}`)
  await editor(alice).press("Tab")
  expect(await editor(alice).evaluate((text) => text.contains(document.activeElement))).toBe(false)
  await bob.accessible()
  await bob.picture(`document-narrow-${colorScheme}`)
  await alice.page.getByRole("button", { name: "History" }).click()
  await alice.page.getByRole("region", { name: "History" }).getByRole("listitem").first().waitFor()
  await alice.accessible()
  await alice.picture(`history-${colorScheme}`)
  await bob.page.getByRole("button", { name: "History" }).click()
  await bob.page.getByRole("region", { name: "History" }).getByRole("listitem").getByRole("button").first().click()
  await bob.picture(`history-narrow-${colorScheme}`)
  await bob.accessible()
  for (const person of [alice, bob]) {
    await person.page.getByRole("link", { name: "Documents" }).click()
    await person.page.getByRole("main").getByRole("link", { name: "Summer party" }).first().waitFor()
    await person.accessible()
  }
  await alice.picture(`list-${colorScheme}`)
  await bob.picture(`list-narrow-${colorScheme}`)
})
