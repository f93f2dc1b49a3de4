// Atrium's own page in a real browser: two people, one text.

import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tempDir } from "./atrium.ts"
import { useAtrium } from "./fixture.ts"
import { until } from "./wait.ts"

const atrium = useAtrium({ dev: true })
const pictures = tempDir()
let browser: Browser

beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: false, // the flag below asks for the new headless mode
    args: [
      "--no-sandbox",
      "--headless=new",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  })
})
afterAll(() => browser?.close())

/** What went wrong in any page, as the browser tells it. */
const complaints: string[] = []

interface Person {
  page: Page
  context: BrowserContext
}

async function visit(address: string, colorScheme: "light" | "dark"): Promise<Person> {
  const context = await browser.newContext({ colorScheme, viewport: { width: 1000, height: 640 } })
  const page = await context.newPage()
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()))
  page.on("pageerror", (error) => complaints.push(error.stack ?? error.message))
  await page.goto(address)
  return { page, context }
}

async function signIn({ page }: Person, name: string): Promise<void> {
  await page.getByLabel("Your name").fill(name)
  await page.keyboard.press("Enter")
  await page.getByRole("status").getByText("connected", { exact: true }).waitFor()
  await page.getByText(name, { exact: true }).waitFor()
}

const text = ({ page }: Person) => page.getByLabel("Shared text")
const picture = ({ page }: Person, name: string) => page.screenshot({ path: join(pictures, `${name}.png`) })

test("two people write one text", async () => {
  const alice = await visit(atrium.http, "light")
  await alice.page.getByRole("heading", { name: "Sign in" }).waitFor()
  await picture(alice, "sign-in")
  await signIn(alice, "Alice")
  await until("the address names the document", () => alice.page.url().includes("#automerge:"))
  await text(alice).pressSequentially("Hello from Alice.")

  const bob = await visit(alice.page.url(), "dark")
  await picture(bob, "sign-in-dark")
  await signIn(bob, "Bob")
  await until("Bob sees what Alice wrote", async () => (await text(bob).inputValue()) === "Hello from Alice.")

  // Bob's caret stays before the full stop while Alice writes in front of him.
  await text(bob).press("End")
  await text(bob).press("ArrowLeft")
  await text(alice).press("Home")
  await text(alice).pressSequentially("1. ")
  await until("Bob sees the number", async () => (await text(bob).inputValue()) === "1. Hello from Alice.")
  await text(bob).pressSequentially(" and Bob 👋")
  const both = "1. Hello from Alice and Bob 👋."
  await until("Alice sees what Bob wrote", async () => (await text(alice).inputValue()) === both)
  expect(await text(bob).inputValue()).toBe(both)
  await picture(alice, "light")
  await picture(bob, "dark")

  // Both type at once.
  await Promise.all([text(alice).pressSequentially("aaaaaaaa"), text(bob).pressSequentially("bbbbbbbb")])
  await until("both see the same", async () => {
    const [mine, theirs] = [await text(alice).inputValue(), await text(bob).inputValue()]
    return mine === theirs && mine.length === both.length + 16
  })

  // A reload finds the same text without another sign-in.
  const before = await text(bob).inputValue()
  await bob.page.reload()
  await until("the text is back", async () => (await text(bob).inputValue()) === before)
  expect(complaints).toEqual([])
  console.log(`pictures in ${pictures}`)
  await Promise.all([alice.context.close(), bob.context.close()])
})

test("the page says when the line is down, and comes back with what was typed", async () => {
  const alice = await visit(atrium.http, "light")
  await signIn(alice, "Alice")
  await text(alice).fill("before")
  await atrium.halt()
  await alice.page.getByRole("status").getByText("reconnecting…").waitFor()
  await text(alice).fill("before, and offline")
  await atrium.start()
  await alice.page.getByRole("status").getByText("connected", { exact: true }).waitFor()

  const bob = await visit(alice.page.url(), "light")
  await signIn(bob, "Bob")
  await until("Bob has it", async () => (await text(bob).inputValue()) === "before, and offline")
  await alice.page.getByRole("button", { name: "Sign out" }).click()
  await alice.page.getByRole("heading", { name: "Sign in" }).waitFor()
  await Promise.all([alice.context.close(), bob.context.close()])
})

test("what a backend pushes is shown, by the command that Atrium prints", async () => {
  const alice = await visit(atrium.http, "light")
  await signIn(alice, "Alice")
  const key = readFileSync(join(atrium.dataDir, "dev-api-key"), "utf8")
  expect(atrium.log.join("\n")).toContain(`curl -H 'Authorization: Bearer ${key}'`)
  const pushed = await fetch(`${atrium.http}/api/v1/users/alice/notifications`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ kind: "hello", title: "Hello from the shell", body: "You are 1st <b>" }),
  })
  expect(pushed.status).toBe(201)
  await alice.page.getByRole("log").getByText("Hello from the shell You are 1st <b>").waitFor()
  await picture(alice, "notification")
  await alice.context.close()
})
