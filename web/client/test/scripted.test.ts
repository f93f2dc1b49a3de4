// What happens between a server's messages: orders that are rare, and messages that are wrong.

import { expect, test } from "vitest"
import { until } from "../../interop/wait.ts"
import { room, said, Scripted } from "./scripted.ts"

const limited = { code: "rate_limited", message: "too many messages", retryable: true, retryAfterMs: 1_500 }
const moment = (ms = 50) => new Promise((resolve) => setTimeout(resolve, ms))

test("what waits for its turn when the connection is lost is asked on the next one", async () => {
  const server = new Scripted()
  let joins = 0
  server.answers = { "chat:join": () => (joins++ === 0 ? limited : room(1)), "chat:message": () => limited }
  const r = server.client.chat.room("r")
  r.subscribe(() => {})
  await until("it was put off", () => joins === 1)
  server.close(4401) // it comes back at once
  await until("it is in the room", () => r.value.status === "joined")

  const sent = r.send("hello")
  await until("it was put off", () => server.of("chat:message").length === 1)
  server.answers["chat:message"] = ({ clientId }) => ({ message: said(2, { content: "hello", clientId, user: { id: "alice" } }) })
  server.close(4401)
  expect(await sent).toMatchObject({ content: "hello" })
})
