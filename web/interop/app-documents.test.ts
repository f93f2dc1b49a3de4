// Documents in Atrium's own app, by people with browsers.

import { expect, test } from "vitest"
import { type Person, useBrowser } from "./browser.ts"
import { useAtrium } from "./fixture.ts"
import { until } from "./wait.ts"

const atrium = useAtrium({ dev: true })
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
async function come(name: string, path: string, settings?: Parameters<typeof visit>[1]): Promise<Person> {
  return (await visit(atrium.http + path, settings)).signIn(name)
}

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
