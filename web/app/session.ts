// Who is using the page: a token, kept for as long as its tab is open.

const key = "atrium.token"

export interface Session {
  token: string
  name: string
}

/** The session kept in this tab, unless its token has expired. */
export const current = (): Session | undefined => read(sessionStorage.getItem(key) ?? "")

export const forget = (): void => sessionStorage.removeItem(key)

/** Keeps a token. */
export function keep(token: string): Session {
  const session = read(token)
  if (!session) throw new Error("This is no token, or it has expired.")
  sessionStorage.setItem(key, token)
  return session
}

/** In development mode the server mints tokens by itself. */
export const isDevelopment = async (): Promise<boolean> => (await fetch("/dev/session")).ok

/** Has the development server mint a token for a person of this name. */
export async function mint(name: string): Promise<string> {
  const headers = { "Content-Type": "application/json" }
  const answer = await fetch("/dev/token", { method: "POST", headers, body: JSON.stringify({ name }) })
  if (!answer.ok) throw new Error(`The server refused (${answer.status}).`)
  return ((await answer.json()) as { token: string }).token
}

/** Reads a JWT without verifying it: that is the server's business. */
function read(token: string): Session | undefined {
  try {
    const payload = atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/"))
    const json = new TextDecoder().decode(Uint8Array.from(payload, (char) => char.charCodeAt(0)))
    const { exp, name, sub } = JSON.parse(json) as { exp: number; name?: string; sub: string }
    return exp * 1000 > Date.now() ? { token, name: name ?? sub } : undefined
  } catch {
    return undefined
  }
}
