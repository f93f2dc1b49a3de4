// What is around every page of the app: signing in, the connection, what is loaded.

import { expect, test } from "vitest"
import { apiKey, token } from "./atrium.ts"
import { useBrowser } from "./browser.ts"
import { useAtrium } from "./fixture.ts"
import { until } from "./wait.ts"

const dev = useAtrium({ dev: true })
const real = useAtrium()
const { visit } = useBrowser()

for (const colorScheme of ["light", "dark"] as const) {
  test(`signing in by name, in ${colorScheme}`, async () => {
    const alice = await visit(dev.http, { colorScheme, allow: /400/ }) // a name that is none
    await alice.page.getByLabel("Your name").waitFor()
    await alice.accessible()
    await alice.picture(`sign-in-${colorScheme}`)
    await alice.page.getByLabel("Your name").fill("…")
    await alice.page.keyboard.press("Enter")
    await alice.page.getByRole("alert").getByText("the name needs a letter or a digit").waitFor()
    await alice.signIn("Alice Liddell")
    await alice.page.reload()
    await alice.online()
    await alice.page.getByRole("button", { name: "Sign out" }).click()
    await alice.page.getByLabel("Your name").waitFor()
  }, 60_000)
}

test("signing in by a token, which is for some of it only, and revoked in the end", async () => {
  const { page } = await visit(real.http, { allow: /403/ }) // the list of documents is not for this one
  await page.getByLabel("Your token").fill("nonsense")
  await page.keyboard.press("Enter")
  await page.getByRole("alert").getByText("This is no token").waitFor()
  await page.getByLabel("Your token").fill(token({ sub: "reader", docs: {}, rooms: {}, metrics: {} }))
  await page.keyboard.press("Enter")
  await page.getByRole("status").getByText("Online", { exact: true }).waitFor()
  expect(await page.getByRole("link", { name: "Operator" }).count()).toBe(0)
  const headers = { authorization: `Bearer ${apiKey}` }
  await fetch(`${real.http}/api/v1/users/reader/revoke`, { method: "POST", headers })
  await page.getByRole("alert").getByText("Your session has ended").waitFor()
  await page.getByLabel("Your token").waitFor()
})

test("its script is less than 400 KB as it is sent", async () => {
  const alice = await (await visit(dev.http)).signIn("Alice")
  for (const path of ["Documents", "Dashboard", "Operator"]) await alice.page.getByRole("link", { name: path, exact: true }).click()
  const { scripts, policy } = await alice.page.evaluate(async () => ({
    scripts: (performance.getEntriesByType("resource") as PerformanceResourceTiming[])
      .filter(({ name }) => new URL(name).pathname.endsWith(".js"))
      .map(({ name, encodedBodySize }) => ({ name: new URL(name).pathname, size: encodedBodySize })),
    policy: (await fetch("/")).headers.get("content-security-policy"),
  }))
  console.log(scripts)
  expect(scripts.length).toBeGreaterThan(0)
  expect(scripts.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(400_000)
  expect(policy).toContain("default-src 'self'")
})

test("by keyboard past the header, and a page that is not there", async () => {
  const { page } = await (await visit(`${dev.http}/nowhere`)).signIn("Alice")
  await page.getByText("There is no such page.").waitFor()
  await page.locator("body").focus()
  await page.keyboard.press("Tab")
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the content")
  await page.keyboard.press("Enter")
  await until("the content has the focus", () => page.evaluate(() => location.hash === "#content"))
})
