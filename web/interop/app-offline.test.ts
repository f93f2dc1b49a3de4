// The app while the server is away, from its first moment on.

import { expect, test } from "vitest"
import { away, useBrowser } from "./browser.ts"
import { useAtrium } from "./fixture.ts"
import { until } from "./wait.ts"

const atrium = useAtrium({ dev: true })
const { visit } = useBrowser()

test("it opens without a server, and what is written then is not lost", async () => {
  const alice = await (await visit(atrium.http, { allow: away })).signIn("Alice")
  const { page } = alice
  const editor = page.getByRole("textbox", { name: "Text", exact: true })
  const says = (text: string) => until(`the text says ${text}`, async () => (await editor.textContent()) === text)
  await page.getByRole("button", { name: "New document" }).click()
  await page.getByRole("textbox", { name: "Title" }).fill("Train")
  await editor.click()
  await page.keyboard.insertText("Aboard.")
  await page.locator(".saved").getByText("On disk").waitFor()
  await until("the app's files are kept", () => page.evaluate(async () => (await navigator.serviceWorker.ready).active?.state === "activated"))

  await atrium.halt()
  await page.reload()
  await says("Aboard.")
  await page.getByRole("status").getByText("Offline").waitFor()
  await editor.click()
  await page.keyboard.press("Control+End")
  await page.keyboard.insertText(" In a tunnel.")
  await page.locator(".saved").getByText("Saved here").waitFor()
  await page.reload()
  await says("Aboard. In a tunnel.")
  await alice.picture("offline")

  await atrium.start()
  await alice.online()
  await page.locator(".saved").getByText("On disk").waitFor()
  const bob = await visit(page.url())
  await bob.signIn("Bob")
  await until("Bob reads it", async () => (await bob.page.getByRole("textbox", { name: "Text", exact: true }).textContent()) === "Aboard. In a tunnel.")
  expect(await bob.page.title()).toContain("Train")
})
