// The chat client in README.md, run as it stands there. The other snippets are run in
// client/test/readme.test.tsx.

import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { afterEach, expect, test } from "vitest"
import { type Claims, token } from "./atrium.ts"
import { useAtrium } from "./fixture.ts"
import { until } from "./wait.ts"

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8")
const section = readme.split(/^## /m).find((text) => text.startsWith("A chat in 20 lines\n")) ?? ""
const code = /^```js\n(.*?)^```$/ms.exec(section)?.[1] ?? ""

const atrium = useAtrium()
const running: Chat[] = []
afterEach(() => running.splice(0).forEach((chat) => chat.end()))

/** One who runs the README's client. */
class Chat {
  said = ""
  complaints = ""
  readonly #node

  constructor(claims: Claims) {
    // What stdin imports is looked for from the working directory: web, which has ws.
    this.#node = spawn(process.execPath, ["--input-type=module", "-"], {
      cwd: new URL("..", import.meta.url),
      env: { TOKEN: token(claims), SERVER: atrium.url },
    })
    this.#node.stdout.on("data", (text) => (this.said += text))
    this.#node.stderr.on("data", (text) => (this.complaints += text))
    this.#node.stdin.end(code)
    running.push(this)
  }

  get alive(): boolean {
    return this.#node.exitCode === null
  }

  /** Waits until it has printed this, and nothing else. */
  async prints(text: string): Promise<void> {
    await until(
      () => `${JSON.stringify(text)} is printed; printed is ${JSON.stringify(this.said)}, and the errors ${JSON.stringify(this.complaints)}`,
      () => this.said.length >= text.length || !this.alive,
    )
    expect(this.said).toBe(text)
    expect(this.complaints).toBe("")
    expect(this.alive).toBe(true)
  }

  end(): void {
    this.#node.kill("SIGKILL")
  }
}

test("the README's chat has 20 lines at most", () => {
  expect(code).toContain("ws")
  expect(code.trimEnd().split("\n").length).toBeLessThanOrEqual(20)
})

test("the README's chat prints what was said, what it says itself, and what others say", async () => {
  const alice = new Chat({ sub: "alice", rooms: { "*": "write" } })
  await alice.prints("Alice: Hello!\n")
  const bob = new Chat({ sub: "bob", rooms: { lobby: "write" } })
  await bob.prints("Alice: Hello!\nBob: Hello!\n")
  await alice.prints("Alice: Hello!\nBob: Hello!\n")
})

test("the README's chat says what is refused", async () => {
  const reader = new Chat({ sub: "reader", rooms: { "*": "read" } })
  await until("the refusal", () => reader.complaints.endsWith("\n"))
  expect(reader.complaints).toBe("forbidden: this room may only be read\n")
  const stranger = new Chat({ sub: "stranger" })
  await until("both refusals", () => stranger.complaints.split("\n").length > 2)
  expect(stranger.complaints).toBe("forbidden: no access to this room\n".repeat(2))
  expect(stranger.said).toBe("")
})
