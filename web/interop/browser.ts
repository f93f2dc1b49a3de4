// People with browsers, in front of Atrium's own app.

import { mkdtempSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, expect } from "vitest"

/** What a browser prints by itself while the server is away. */
export const away = /WebSocket connection to|Failed to load resource: net::/
/** Where this run's screenshots are, for people to look at. */
export const pictures = mkdtempSync(join(tmpdir(), "atrium-pictures-"))
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

export interface Visit {
  /** Default: light. */
  colorScheme?: "light" | "dark"
  /** Another page of somebody's who is here already: a second tab. */
  beside?: Person
  viewport?: { width: number; height: number }
  /** Console errors that this test provokes on purpose. */
  allow?: RegExp
}

/** A browser for a whole test file. After each test, no page may have complained. */
export function useBrowser(): { visit: (address: string, visit?: Visit) => Promise<Person> } {
  let browser: Browser
  const people: Person[] = []
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
  afterEach(async () => {
    const complaints = people.flatMap((person) => person.complaints)
    for (const { context } of people.splice(0)) await context.close()
    expect(complaints, "what browsers complained of").toEqual([])
  })
  afterAll(async () => {
    await browser?.close()
    console.log(`screenshots are in ${pictures}`)
  })

  const visit = async (address: string, { beside, allow, ...settings }: Visit = {}): Promise<Person> => {
    const viewport = { width: 1280, height: 800 }
    const context = beside?.context ?? (await browser.newContext({ viewport, ...settings, reducedMotion: "reduce" }))
    const person = new Person(await context.newPage(), context, allow)
    people.push(person)
    await person.page.goto(address)
    return person
  }
  return { visit }
}

/** Somebody at one page. */
export class Person {
  readonly complaints: string[] = []

  constructor(
    readonly page: Page,
    readonly context: BrowserContext,
    allow?: RegExp,
  ) {
    const complain = (text: string) => allow?.test(text) || this.complaints.push(text)
    page.on("console", (message) => message.type() === "error" && complain(message.text()))
    page.on("pageerror", (error) => complain(error.stack ?? error.message))
  }

  /** Signs in, in development mode, and waits until the page is online. */
  async signIn(name: string): Promise<this> {
    await this.page.getByLabel("Your name").fill(name)
    await this.page.keyboard.press("Enter")
    await this.online()
    return this
  }

  async online(): Promise<void> {
    await this.page.getByRole("status").getByText("Online", { exact: true }).waitFor()
  }

  async picture(name: string): Promise<void> {
    await this.page.screenshot({ path: join(pictures, `${name}.png`) })
  }

  /** Fails if axe-core finds anything serious on the page as it is. */
  async accessible(): Promise<void> {
    await this.page.evaluate(axe) // as the page's policy would not let a script tag
    const found = await this.page.evaluate(async () => {
      const { violations } = await (globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } }).axe.run()
      return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
    })
    expect(found.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(" ")}`)).toEqual([])
  }
}

interface Violation {
  id: string
  impact: string
  help: string
  nodes: { html: string }[]
}
