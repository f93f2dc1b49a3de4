// What a token grants, as stock clients come to feel it.

import { generateAutomergeUrl } from "@automerge/automerge-repo"
import { expect, test } from "vitest"
import { token } from "./atrium.ts"
import { acknowledged, converged, createDocument, dial, idOf } from "./clients.ts"
import { useAtrium } from "./fixture.ts"
import { RawSocket } from "./raw.ts"
import { until } from "./wait.ts"

const atrium = useAtrium()

for (const release of ["2.5", "2.0"] as const) {
  test(`a reader (${release}) hears everything and changes nothing`, async () => {
    const alice = dial(atrium, "alice")
    const mine = createDocument(alice)
    await acknowledged([alice], mine.url, alice.heads(mine.url))
    const reader = dial(atrium, "reader", { release, token: token({ sub: "reader", docs: { [idOf(mine.url)]: "read" } }) })
    const theirs = await reader.find(mine.url)
    const heard: unknown[] = []
    theirs.on("ephemeral-message", ({ message }) => heard.push(message))

    theirs.change((doc) => doc.list.push("not allowed"))
    const [refused] = reader.heads(mine.url)
    theirs.broadcast("a cursor")
    for (let i = 0; i < 5; i++) {
      mine.change((doc) => doc.list.push(i))
      mine.broadcast(i)
      await until(`the reader gets ${i}`, () => theirs.doc().list.includes(i) && heard.includes(i))
    }
    expect(mine.doc().list).toEqual([0, 1, 2, 3, 4])
    expect(reader.tap.heads(idOf(mine.url))).not.toContain(refused)

    const late = dial(atrium, "late")
    expect((await late.find(mine.url)).doc().list).toEqual([0, 1, 2, 3, 4])
  })
}

test("a document that is not granted is unavailable, to read and to make", async () => {
  const alice = dial(atrium, "alice")
  const handle = createDocument(alice)
  await acknowledged([alice], handle.url, alice.heads(handle.url))

  const stranger = dial(atrium, "stranger", { token: token({ sub: "stranger", docs: { other: "write" } }) })
  await expect(stranger.find(handle.url)).rejects.toThrow("unavailable")
  const offered = createDocument(stranger)
  await until("the offer is turned down", () => stranger.tap.unavailable.get(idOf(offered.url)))
  await expect(alice.find(offered.url)).rejects.toThrow("unavailable")
  expect(stranger.tap.heads(idOf(offered.url)).size).toBe(0)
})

test("what is wrong with a token is told in the socket, with 4401", async () => {
  const wrong = ["", "?token=", "?token=nonsense", `?token=${token({ sub: "late", ttl: -60 })}`, `?token=${token({ sub: "x" })}x`]
  for (const query of wrong) {
    const raw = new RawSocket(atrium.url + query)
    await raw.send({ type: "join", senderId: "raw-1" })
    expect(await raw.next("error")).toMatchObject({ code: "unauthenticated" })
    await until("the socket closes", () => raw.closeCode)
    expect(raw.closeCode).toBe(4401)
  }
})

test("a stock client whose token has expired lives on, and keeps its edits to itself", async () => {
  const late = dial(atrium, "late", { token: token({ sub: "late", ttl: -60 }), retry: 100 })
  const handle = createDocument(late)
  handle.change((doc) => doc.list.push("kept"))
  await expect(late.find(generateAutomergeUrl())).rejects.toThrow("unavailable")
  expect(handle.doc().list).toEqual(["kept"])
  expect(late.tap.heads(idOf(handle.url)).size).toBe(0)
})

test("a session ends with its token", async () => {
  const raw = new RawSocket(`${atrium.url}?token=${token({ sub: "brief", ttl: 2 })}`)
  await raw.send({ type: "join", senderId: "raw-2" })
  await raw.next("peer")
  await until("the token expires", () => raw.closeCode)
  expect(raw.closeCode).toBe(4401)
})

test("the same user and peer id joining again replaces the first session", async () => {
  const alice = dial(atrium, "alice", { peerId: "the-one", retry: 60_000 })
  const handle = createDocument(alice)
  await acknowledged([alice], handle.url, alice.heads(handle.url))

  const raw = new RawSocket(`${atrium.url}?token=${token({ sub: "bob" })}`)
  await raw.send({ type: "join", senderId: "the-one" })
  await raw.next("peer")
  expect(alice.connected).toBe(true) // another user's session of that name is another session

  const again = dial(atrium, "alice", { peerId: "the-one" })
  await until("the first is gone", () => !alice.connected)
  await again.find(handle.url)
  await converged([again], handle.url)
  raw.hangUp()
})
