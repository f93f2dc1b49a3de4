// Live values in the app.

import { expect, test } from "vitest"
import { apiKey } from "./atrium.ts"
import { type Person, useBrowser } from "./browser.ts"
import { useAtrium } from "./fixture.ts"
import { until } from "./wait.ts"

const atrium = useAtrium({ dev: true })
const { visit } = useBrowser()

const tile = ({ page }: Person, title: string) => page.getByRole("article", { name: title, exact: true })
const now = (person: Person, title: string) => tile(person, title).locator(".now").textContent()

/** Pushes a metric, as a backend does. */
async function push(metric: string, value: unknown): Promise<void> {
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" }
  const answer = await fetch(`${atrium.http}/api/v1/metrics/${metric}`, { method: "PUT", headers, body: JSON.stringify({ value }) })
  expect(answer.status).toBe(204)
}

/** What is on a chart, as a number that changes when something else is drawn. */
const drawn = (person: Person, title: string) =>
  tile(person, title).locator("canvas").evaluate((canvas: HTMLCanvasElement) => {
    const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height)
    return data.reduce((sum, byte, i) => (sum * 31 + byte * (i % 251)) >>> 0, 0)
  })

for (const colorScheme of ["light", "dark"] as const) {
  test(`the service's own figures move, in ${colorScheme}`, async () => {
    const alice = await (await visit(`${atrium.http}/dashboard`, { colorScheme })).signIn("Alice")
    await until("one session", async () => (await now(alice, "Sessions")) === "1")
    const bob = await (await visit(atrium.http)).signIn("Bob")
    await until("two sessions", async () => (await now(alice, "Sessions")) === "2")
    await until("memory", async () => /MB$/.test((await now(alice, "Memory"))!))
    await until("messages", async () => /[1-9].*\/s$/.test((await now(alice, "Messages out"))!))
    await bob.page.close()
    await until("one session", async () => (await now(alice, "Sessions")) === "1")
    expect(await tile(alice, "Sessions").getByRole("img").getAttribute("aria-label")).toContain("Sessions: now 1")
    await alice.accessible()
    await alice.picture(`dashboard-${colorScheme}`)
  })
}

test("a pushed value is drawn within a second", async () => {
  const alice = await (await visit(`${atrium.http}/dashboard`)).signIn("Alice")
  await alice.page.getByText("curl -X PUT").waitFor()
  await push("orders.open", 41)
  await until("it has a tile", () => tile(alice, "orders.open").isVisible())
  await alice.page.getByText("curl -X PUT").waitFor({ state: "detached" })
  for (const value of [50, 1_000_000, 42]) {
    const before = await drawn(alice, "orders.open")
    const began = performance.now()
    await push("orders.open", value)
    await until("it is written", async () => (await now(alice, "orders.open"))!.replace(/\D/g, "") === (value === 1e6 ? "1" : String(value)))
    await until("it is drawn", async () => (await drawn(alice, "orders.open")) !== before)
    expect(performance.now() - began).toBeLessThan(1_000)
  }
  await push("last.build", { branch: "main", passed: true })
  await tile(alice, "last.build").getByText('"passed": true').waitFor()
  await alice.accessible()
  await alice.picture("dashboard-pushed")
  await alice.page.setViewportSize({ width: 390, height: 800 })
  await alice.picture("dashboard-narrow")
  await alice.page.getByRole("link", { name: "Documents", exact: true }).click()
  await alice.page.getByRole("link", { name: "Dashboard" }).click()
  await until("it is still known", async () => (await now(alice, "orders.open")) === "42")
})
