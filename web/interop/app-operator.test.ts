// The operator's page: who is here, what there is, and sending somebody away.

import { expect, test } from "vitest"
import { dial, createDocument, acknowledged, idOf } from "./clients.ts"
import { token } from "./atrium.ts"
import { useBrowser } from "./browser.ts"
import { useAtrium } from "./fixture.ts"

const atrium = useAtrium()
const { visit } = useBrowser()

/** Somebody at a page, by a token of their own. */
async function come(path: string, claims: Parameters<typeof token>[0], colorScheme: "light" | "dark" = "light", allow?: RegExp) {
  const person = await visit(atrium.http + path, { colorScheme, allow })
  await person.page.getByLabel("Your token").fill(token({ rooms: { "*": "write" }, metrics: { "*": "read" }, ...claims }))
  await person.page.keyboard.press("Enter")
  await person.online()
  return person
}

for (const colorScheme of ["light", "dark"] as const) {
  test(`sessions and documents, in ${colorScheme}`, async () => {
    const stock = dial(atrium, "stock")
    const handle = createDocument(stock)
    await acknowledged([stock], handle.url, stock.heads(handle.url))
    const boss = await come("/operator", { sub: "boss", admin: true }, colorScheme)
    const sessions = boss.page.getByRole("region", { name: "Sessions, table" })
    const row = sessions.getByRole("row").filter({ hasText: "Stock" })
    await row.getByRole("link", { name: idOf(handle.url).slice(0, 6) }).waitFor()
    await row.getByText("127.0.0.1").waitFor()
    await sessions.getByRole("row").filter({ hasText: "Boss" }).waitFor()
    const documents = boss.page.getByRole("region", { name: "Documents, table" })
    const about = documents.getByRole("row").filter({ hasText: idOf(handle.url) })
    await about.getByText("1 session", { exact: true }).waitFor()
    await boss.accessible()
    await boss.picture(`operator-${colorScheme}`)

    await boss.page.getByRole("searchbox", { name: "User id" }).fill("stock")
    await sessions.getByRole("row").filter({ hasText: "Boss" }).waitFor({ state: "detached" })
    await boss.page.getByRole("searchbox").fill("nobody")
    await sessions.getByText("None.").waitFor()
    stock.hangUp()
    await about.getByText("–", { exact: true }).waitFor()
  })
}

test("disconnecting and revoking", async () => {
  const boss = await come("/operator", { sub: "boss", admin: true }, "light", /Failed to load resource/)
  const guest = await come("/dashboard", { sub: "guest" })
  const { page } = boss
  const row = page.getByRole("region", { name: "Sessions, table" }).getByRole("row").filter({ hasText: "Guest" })
  await row.getByRole("button", { name: "Disconnect…" }).click()
  await page.getByRole("dialog", { name: "Disconnect Guest?" }).waitFor()
  await boss.accessible()
  await boss.picture("operator-dialog")
  await page.keyboard.press("Escape")
  await guest.online()
  await row.getByRole("button", { name: "Disconnect…" }).click()
  await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click()
  await guest.page.getByRole("alert").getByText("disconnected by an operator").waitFor()
  await row.waitFor({ state: "detached" })

  const again = await come("/dashboard", { sub: "guest" })
  await row.getByRole("button", { name: "Revoke…" }).click()
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click()
  await again.page.getByRole("alert").getByText("Your session has ended").waitFor()
})

test("it is for operators", async () => {
  const guest = await come("/operator", { sub: "somebody" })
  await guest.page.getByText("This page is for operators.").waitFor()
  expect(await guest.page.getByRole("table").count()).toBe(0)
})
