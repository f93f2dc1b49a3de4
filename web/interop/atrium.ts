// The real server as a child process, and tokens for it.

import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { createHmac, randomBytes } from "node:crypto"
import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { within } from "./wait.ts"

const secret = randomBytes(32).toString("hex")
/** An API key that the servers started here accept. */
export const apiKey = randomBytes(16).toString("hex")
const issued = new Set<string>()
const running = new Set<ChildProcess>()
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")))

type Level = "none" | "read" | "write"

export interface Claims {
  sub: string
  docs?: Record<string, Level>
  rooms?: Record<string, Level>
  metrics?: Record<string, Level>
  admin?: boolean
  /** Seconds from now; negative for a token that has expired. */
  ttl?: number
}

/** An HS256 token that the servers started here accept; every document for writing unless told otherwise. */
export function token({ sub, docs = { "*": "write" }, rooms, metrics, admin, ttl = 3600 }: Claims): string {
  const now = Math.floor(Date.now() / 1000)
  const claims = { sub, name: sub[0]!.toUpperCase() + sub.slice(1), iat: now, exp: now + ttl, atrium: { docs, rooms, metrics, admin } }
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`
  const made = `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`
  issued.add(made)
  return made
}

/** A new directory for one server or one artefact. */
export function tempDir(): string {
  return mkdtempSync(join(tmpdir(), "atrium-interop-"))
}

export interface AtriumOptions {
  /** Development mode: the server makes its own secret, and mints tokens at /dev/token. */
  dev?: boolean
  /** Lines of the log that this suite provokes on purpose. */
  allow?: RegExp
}

export class Atrium {
  readonly log: string[] = []
  #port = 0
  #child: ChildProcess | undefined
  #exit: Promise<number | string> = Promise.resolve(0)

  constructor(
    readonly dataDir: string,
    private readonly options: AtriumOptions = {},
  ) {}

  get port(): number {
    return this.#port
  }

  /** The server's process, as long as it is running. */
  get pid(): number | undefined {
    return this.#child?.exitCode === null && this.#child.signalCode === null ? this.#child.pid : undefined
  }

  get http(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}/ws`
  }

  /** Starts the server and waits until it listens: on a free port first, on the same one ever after. */
  async start(): Promise<void> {
    const binary = process.env.ATRIUM_BIN
    if (!binary) throw new Error("ATRIUM_BIN must name the atrium binary to test: go build -o /tmp/atrium ./cmd/atrium")

    const args = ["serve", "--addr", `127.0.0.1:${this.#port}`, "--data-dir", this.dataDir]
    if (this.options.dev) args.push("--dev")
    const { PATH, HOME } = process.env
    // A binary with the race detector would else sleep for a second before it ends.
    const env = { PATH, HOME, GORACE: "atexit_sleep_ms=0", ATRIUM_API_KEYS: apiKey, ...(!this.options.dev && { ATRIUM_JWT_SECRET: secret }) }
    const child = spawn(binary, args, { env, stdio: ["ignore", "pipe", "pipe"] })
    this.#child = child
    running.add(child)
    this.#exit = new Promise((resolve) => {
      child.on("error", (error) => resolve(error.message))
      child.on("exit", (code, signal) => {
        running.delete(child)
        resolve(signal ?? code ?? 0)
      })
    })

    const listening = new Promise<number>((resolve, reject) => {
      const read = (line: string) => {
        this.log.push(line)
        const addr = /"msg":"listening".*"addr":"[^"]*:(\d+)"/.exec(line)
        if (addr) resolve(Number(addr[1]))
      }
      createInterface(child.stdout!).on("line", read)
      createInterface(child.stderr!).on("line", read)
      this.#exit.then((how) => reject(new Error(`atrium ended (${how}) before it listened:\n${this.tail()}`)))
    })
    this.#port = await within("atrium listens", listening, 20_000)
  }

  /** Ends the server as a power cut would. */
  async kill9(): Promise<void> {
    this.#child?.kill("SIGKILL")
    await this.#exit
  }

  /** Asks the server to end and expects it to do so in order. Data and port stay. */
  async halt(): Promise<void> {
    this.#child?.kill("SIGTERM")
    const how = await within("atrium ends after SIGTERM", this.#exit, 20_000)
    if (how !== 0) throw new Error(`atrium ended with ${how} after SIGTERM:\n${this.tail()}`)
  }

  async restart(): Promise<void> {
    await this.halt()
    await this.start()
  }

  /** Asks the server's database, or changes it, running or not; the rows come as lines with bars in them. */
  sqlite(statement: string): string[] {
    const options = { encoding: "utf8", maxBuffer: 64 << 20 } as const
    const out = execFileSync("sqlite3", ["-cmd", ".timeout 5000", join(this.dataDir, "atrium.db"), statement], options)
    return out.split("\n").filter((line) => line !== "")
  }

  /** Copies the data of a server that is not running. */
  copyData(): string {
    const copy = tempDir()
    cpSync(this.dataDir, copy, { recursive: true })
    return copy
  }

  /** Puts a copy back, for a server that is not running: what it stored since is lost. */
  restoreData(copy: string): void {
    rmSync(this.dataDir, { recursive: true })
    cpSync(copy, this.dataDir, { recursive: true })
    rmSync(copy, { recursive: true })
  }

  /** Ends the server for good, and fails if its log held an error, a race or a token. */
  async stop(): Promise<void> {
    try {
      if (this.#child?.exitCode === null && this.#child.signalCode === null) await this.halt()
      const wrong = this.log.filter((line) => this.#isWrong(line))
      if (wrong.length > 0) throw new Error(`in the log of atrium:\n${wrong.slice(0, 10).join("\n")}`)
    } finally {
      this.#child?.kill("SIGKILL")
      rmSync(this.dataDir, { recursive: true, force: true })
    }
  }

  /** The log's last lines, for error messages. */
  tail(): string {
    return this.log.slice(-20).join("\n")
  }

  #isWrong(line: string): boolean {
    for (const secretText of [secret, apiKey, ...issued]) if (line.includes(secretText)) return true
    if (this.options.allow?.test(line)) return false
    return /"level":"ERROR"|DATA RACE|^panic:|^fatal error:/.test(line)
  }
}
