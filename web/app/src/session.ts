// Who is using this tab: a name that the development server mints tokens for, or a
// token that somebody else has given. It is kept for as long as the tab is open.

const key = "atrium.session"

interface Kept {
  token: string
  /** In development mode: whom to mint the next token for. */
  mintFor?: string
}

/** What a token says. That it is true is the server's business. */
export interface Claims {
  userId: string
  name: string
  admin: boolean
  /** Grants of documents by pattern. */
  docs: Record<string, string>
}

export class Session {
  readonly claims: Claims
  #kept: Kept

  private constructor(kept: Kept) {
    const claims = read(kept.token)
    if (!claims) throw new Error("This is no token, or it has expired.")
    this.claims = claims
    this.#kept = kept
    sessionStorage.setItem(key, JSON.stringify(kept))
  }

  /** The session kept in this tab, if it still holds or can be renewed. */
  static async kept(): Promise<Session | undefined> {
    const kept = JSON.parse(sessionStorage.getItem(key) ?? "null") as Kept | null
    if (!kept) return undefined
    try {
      return new Session(kept)
    } catch {
      return kept.mintFor === undefined ? undefined : Session.minted(kept.mintFor).catch(() => undefined)
    }
  }

  /** Signs in with a token. */
  static of(token: string): Session {
    return new Session({ token })
  }

  /** Signs in by a name, in development mode. */
  static async minted(name: string): Promise<Session> {
    return new Session({ token: await mint(name), mintFor: name })
  }

  /** A token that holds: a new one where there can be. */
  async token(): Promise<string> {
    const { mintFor, token } = this.#kept
    if (mintFor === undefined || this.#fresh) {
      this.#fresh = false
      return token
    }
    this.#kept = { token: await mint(mintFor), mintFor }
    sessionStorage.setItem(key, JSON.stringify(this.#kept))
    return this.#kept.token
  }

  #fresh = true

  static forget(): void {
    sessionStorage.removeItem(key)
  }
}

/** In development mode the server mints tokens by itself. */
export const isDevelopment = async (): Promise<boolean> => (await fetch("/dev/session")).status === 200

async function mint(name: string): Promise<string> {
  const headers = { "Content-Type": "application/json" }
  const answer = await fetch("/dev/token", { method: "POST", headers, body: JSON.stringify({ name }) })
  if (!answer.ok) throw new Error(answer.status === 400 ? (await answer.text()).trim() : `The server refused (${answer.status}).`)
  return ((await answer.json()) as { token: string }).token
}

/** Reads a JWT; undefined if it is none, or has expired. */
function read(token: string): Claims | undefined {
  try {
    const payload = atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/"))
    const json = new TextDecoder().decode(Uint8Array.from(payload, (char) => char.charCodeAt(0)))
    const { exp, name, sub, atrium } = JSON.parse(json) as {
      exp: number
      name?: string
      sub: string
      atrium?: { admin?: boolean; docs?: Record<string, string> }
    }
    if (exp * 1000 <= Date.now()) return undefined
    return { userId: sub, name: name || sub, admin: atrium?.admin === true, docs: atrium?.docs ?? {} }
  } catch {
    return undefined
  }
}
