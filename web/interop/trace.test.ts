// A recorded editing session, typed into Atrium by one stock client and read by
// another after a restart. TRACE names the recording (gzipped JSON of the public
// editing-traces collection); without one there is nothing to run.

import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { change, splice } from "@automerge/automerge"
import { expect, test } from "vitest"
import { acknowledged, dial } from "./clients.ts"
import { useAtrium } from "./fixture.ts"

interface Trace {
  startContent: string
  endContent: string
  txns: { patches: [position: number, deleted: number, inserted: string][] }[]
}

interface Text {
  text: string
}

const batches = 260
const atrium = useAtrium()

test("a recorded session comes out as it went in", async () => {
  const file = process.env.TRACE
  if (!file) throw new Error("TRACE must name a gzipped editing trace")
  const trace = JSON.parse(gunzipSync(readFileSync(file)).toString()) as Trace

  const alice = dial(atrium, "alice")
  const typed = alice.repo.create<Text>({ text: trace.startContent })
  await acknowledged([alice], typed.url, alice.heads(typed.url))
  const size = Math.ceil(trace.txns.length / batches)
  const typing = stopwatch()
  for (let from = 0; from < trace.txns.length; from += size) {
    // One transaction is one change; one batch is one message.
    typed.update((doc) => {
      for (const { patches } of trace.txns.slice(from, from + size)) {
        doc = change(doc, (draft) => {
          for (const [at, deleted, inserted] of patches) splice(draft as Text, ["text"], at, deleted, inserted)
        })
      }
      return doc
    })
    await acknowledged([alice], typed.url, alice.heads(typed.url), 60_000)
  }
  const typedIn = typing()
  expect(typed.doc().text).toBe(trace.endContent)
  alice.hangUp()

  const restarting = stopwatch()
  await atrium.restart()
  const restartedIn = restarting()

  const opening = stopwatch()
  const bob = dial(atrium, "bob")
  const read = await bob.find<Text>(typed.url, 300_000)
  const openedIn = opening()
  expect(bob.heads(typed.url)).toEqual(alice.heads(typed.url))
  expect(read.doc().text).toBe(trace.endContent)
  console.log(
    `${trace.txns.length} changes typed and stored in ${typedIn}, server restarted in ${restartedIn}, ` +
      `opened by a new client in ${openedIn}`,
  )
})

function stopwatch(): () => string {
  const start = performance.now()
  return () => `${((performance.now() - start) / 1000).toFixed(2)} s`
}
