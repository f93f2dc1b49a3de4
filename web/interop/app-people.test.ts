// People in Atrium's own app: chat, and what rings their bells.

import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { expect, test } from "vitest"
import { apiKey } from "./atrium.ts"
import { type Person, useBrowser, type Visit } from "./browser.ts"
import { useAtrium } from "./fixture.ts"
import { until } from "./wait.ts"

const atrium = useAtrium({ dev: true })
const { visit } = useBrowser()

async function come(name: string, path = "/", settings?: Visit): Promise<Person> {
  return (await visit(atrium.http + path, settings)).signIn(name)
}

const box = ({ page }: Person) => page.getByRole("textbox", { name: "Message", exact: true })
const said = ({ page }: Person, text: string) => page.getByRole("log").getByText(text, { exact: true })

async function say(person: Person, text: string): Promise<void> {
  await box(person).fill(text)
  await box(person).press("Enter")
}

/** Calls the server as a backend does that has nothing but curl. */
async function curl(path: string, body: object): Promise<void> {
  const headers = ["-H", `Authorization: Bearer ${apiKey}`, "-H", "Content-Type: application/json"]
  await promisify(execFile)("curl", ["-sSf", ...headers, "-d", JSON.stringify(body), `${atrium.http}/api/v1/${path}`])
}

test("two people talk", async () => {
  const [alice, bob] = [await come("Alice"), await come("Bob")]
  await say(alice, "Hello there")
  await said(bob, "Hello there").waitFor()
  await said(alice, "Hello there").waitFor()
  await alice.picture("chat-light")
})

test("a push by curl rings the bell", async () => {
  const carol = await come("Carol")
  await carol.page.getByRole("button", { name: "Notifications", exact: true }).waitFor()
  await curl("users/carol/notifications", { kind: "order", title: "Order 17 was shipped", body: "It arrives tomorrow." })
  await carol.page.getByRole("button", { name: "Notifications, 1 unread" }).waitFor()
  await carol.picture("toast-light")
  await carol.page.getByRole("button", { name: "Notifications, 1 unread" }).click()
  await carol.page.getByRole("dialog", { name: "Notifications" }).getByText("Order 17").click()
  await until("the title has no number", async () => (await carol.page.title()) === "Documents · Atrium")
  expect(await carol.page.getByRole("button", { name: "Notifications", exact: true }).count()).toBe(1)
  await carol.picture("inbox-light")
})
