// Clients of this package, against the real server.

import { type Client, connect, type Options, type Socket } from "atrium-client"
import { afterEach } from "vitest"
import WebSocket from "ws"
import { apiKey, type Atrium, type Claims, token } from "../../interop/atrium.ts"
import { until } from "../../interop/wait.ts"

const open = new Set<Client>()
afterEach(() => {
  for (const client of open) client.close()
  open.clear()
})

/** A token for everything but administration. */
export const everything = (sub: string, more: Partial<Claims> = {}): string =>
  token({ sub, rooms: { "*": "write" }, metrics: { "*": "read" }, ...more })

/** A client of the user `name`; `at` is a server or a proxy before one. */
export function dial(at: { url: string }, name: string, options: Partial<Options> = {}): Client {
  const client = connect({
    url: at.url,
    getToken: () => everything(name),
    WebSocket: WebSocket as unknown as new (url: string) => Socket,
    ...options,
  })
  open.add(client)
  return client
}

export const online = (client: Client) => until(() => `online, not ${client.state}`, () => client.state === "online", 20_000)

/** A backend's call, which must succeed. */
export async function call(atrium: Atrium, method: string, path: string, body?: unknown): Promise<any> {
  const answer = await fetch(`${atrium.http}/api/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
  return text ? JSON.parse(text) : undefined
}
