// Writes corpus.bin: changes that stock JavaScript clients made, with what these
// say is in them. See README.md.
import { writeFileSync } from "node:fs"
import * as v3 from "automerge-3"
import * as stable from "automerge-2"
import * as next from "automerge-2/next"

// A seeded generator, so that the file can be made again.
let seed = 1
function below(n) {
  seed = (seed * 1664525 + 1013904223) >>> 0
  return Math.floor((seed / 2 ** 32) * n)
}
const one = list => list[below(list.length)]
const words = ["", "a", "é", "日本", "😀", "key", "a longer string of text", "x".repeat(70)]
const hex = (n, length = 16) =>
  Array.from({ length }, (_, i) => ((n * 7919 + i * 104729) % 256).toString(16).padStart(2, "0")).join("")

function scalar(A) {
  return one([
    () => one(words),
    () => below(1000) - 500,
    () => -(2 ** 40) - below(9),
    () => Number.MAX_SAFE_INTEGER,
    () => one([1.5, -0.0001, NaN, new A.Float64(1e300), new A.Float64(-Infinity)]),
    () => one([true, false, null]),
    () => new Date(below(2 ** 31) * 1000 - 2 ** 40),
    () => new Uint8Array(Array.from({ length: below(40) }, () => below(256))),
    () => new A.Counter(below(100)),
    () => new A.Int(below(1000) - 500),
    () => new A.Uint(below(1000)),
    () => new A.Float64(below(1000)),
    () => (A.ImmutableString ? new A.ImmutableString(one(words)) : A.RawString ? new A.RawString(one(words)) : one(words)),
  ])()
}

// One random edit of a plain document.
function edit(A, d) {
  const targets = [d]
  const find = v => {
    for (const x of Object.values(v)) {
      if (Array.isArray(x) || (x && Object.getPrototypeOf(x) === Object.prototype)) {
        targets.push(x)
        find(x)
      }
    }
  }
  find(d)
  const target = one(targets)
  if (Array.isArray(target)) {
    const at = below(target.length + 1)
    switch (below(6)) {
      case 0:
      case 1:
        target.splice(at, 0, scalar(A), scalar(A))
        break
      case 2:
        if (at < target.length) target[at] = scalar(A)
        break
      case 3:
        target.splice(at, below(3))
        break
      case 4:
        target.splice(at, 0, one([{ a: 1 }, [1, [2, 3]], { b: { c: [] } }]))
        break
      case 5:
        if (target[at] instanceof A.Counter) {
          if (target[at].increment) target[at].increment(below(9) - 4)
        } else target.push(null, null, null, true, true, false)
    }
    return
  }
  const key = one(["a", "b", "ключ", "list", "map", "count", "k" + below(20)])
  const old = target[key]
  switch (below(7)) {
    case 0:
    case 1:
      target[key] = scalar(A)
      break
    case 2:
      delete target[key]
      break
    case 3:
      target[key] = one([{}, [], { x: { y: [1, 2, { z: null }] } }, ["a", "a", "a"], [1, 2, 3, 4]])
      break
    case 4:
    case 5:
      if (old instanceof A.Counter && old.increment) old.increment(below(2 ** 20) - 2 ** 19)
      else target[key] = new A.Counter(below(10))
      break
    case 6:
      Object.assign(target, { k1: 1, k2: "two", k3: [3], k4: { five: 5 } })
  }
}

// Random edits of texts, in each of the three ways there are.
const text = {
  stable(d) {
    const A = stable
    if (!d.text || below(30) === 0) {
      d.text = new A.Text(one(words))
      return
    }
    const at = below(d.text.length + 1)
    switch (below(4)) {
      case 0:
        d.text.deleteAt(at, Math.min(below(4), d.text.length - at))
        break
      case 1:
        d.text.insertAt(at, "a", "b", one([{ attr: "x" }, "c"]), "d")
        break
      default:
        d.text.insertAt(at, ...one(words))
    }
  },
  next: d => strings(next, d),
  v3: d => strings(v3, d),
}

function strings(A, d) {
  if (typeof d.text !== "string" || below(50) === 0) {
    d.text = one(words)
    return
  }
  const length = d.text.length
  const at = below(length + 1)
  switch (below(9)) {
    case 0:
    case 1:
    case 2:
      A.splice(d, ["text"], at, Math.min(below(3), length - at), one(words))
      break
    case 3:
      A.updateText(d, ["text"], d.text.slice(0, at) + one(words) + d.text.slice(at + below(5)))
      break
    case 4:
    case 5: {
      const end = at + below(length - at + 1)
      const expand = one(["none", "before", "after", "both"])
      A.mark(d, ["text"], { start: at, end, expand }, one(["bold", "link", "c"]), one([true, 1, null, "x"]))
      break
    }
    case 6:
      A.unmark(d, ["text"], { start: 0, end: length, expand: "both" }, one(["bold", "link", "c"]))
      break
    case 7:
      A.splitBlock(d, ["text"], at, { type: "paragraph", parents: [], attrs: { level: 2, live: true } })
      break
    case 8: {
      const spans = A.spans(d, ["text"])
      let index = 0
      for (const span of spans) {
        if (span.type === "block") {
          if (below(2)) A.joinBlock(d, ["text"], index)
          else A.updateBlock(d, ["text"], index, { type: "heading", parents: ["li"], attrs: { n: below(9) } })
          break
        }
        index += span.value.length
      }
    }
  }
}

const records = []
const refused = new Map()

function uleb(x) {
  const out = []
  let n = BigInt(x)
  do {
    out.push(Number(n & 0x7fn) | (n > 0x7fn ? 0x80 : 0))
    n >>= 7n
  } while (n > 0n)
  return Buffer.from(out)
}
const prefixed = bytes => Buffer.concat([uleb(bytes.length), bytes])
const zigzag = x => uleb(BigInt(x) >= 0n ? BigInt(x) * 2n : -BigInt(x) * 2n - 1n)

// One record per change of a document: version of the client, chunk, hash, actor, seq, startOp, time,
// message, deps, number of operations + 1.
function record(A, doc) {
  const metas = A === v3 ? v3.getChangesMetaSince(doc, []) : []
  A.getAllChanges(doc).forEach((chunk, i) => {
    let c
    try {
      c = A.decodeChange(chunk)
    } catch {
      // It cannot show numbers that JavaScript does not have.
      c = metas[i]
    }
    if (c) write(A === v3 ? 3 : 2, chunk, c)
  })
}

function write(version, chunk, c) {
  records.push(
    Buffer.concat([
      Buffer.from([version]),
      prefixed(chunk),
      Buffer.from(c.hash, "hex"),
      prefixed(Buffer.from(c.actor, "hex")),
      uleb(c.seq),
      uleb(c.startOp),
      zigzag(c.time),
      prefixed(Buffer.from(c.message ?? "")),
      uleb(c.deps.length),
      ...c.deps.map(d => Buffer.from(d, "hex")),
      uleb(c.ops ? c.ops.length + 1 : 0),
    ]),
  )
}

function scenario(A, editText, number, options = {}) {
  const actors = 1 + below(4)
  let time = 1700000000 + number
  let root = A.from({ list: [1], map: {}, count: new A.Counter(1) }, hex(number * 10))
  let docs = [root]
  for (let i = 1; i < actors; i++) docs.push(A.clone(root, { actor: hex(number * 10 + i, one([4, 16, 20])), ...options }))
  for (let step = 0; step < 20; step++) try {
    const i = below(docs.length)
    const message = below(4) ? undefined : one(words)
    const o = { time: time++, message }
    switch (below(9)) {
      case 0:
        docs[i] = A.emptyChange(docs[i], o)
        break
      case 1:
      case 2:
        {
          const j = below(docs.length)
          if (i !== j) docs[i] = A.merge(docs[i], docs[j])
        }
        break
      case 3: {
        const heads = A.getHeads(docs[i])
        if (A.changeAt && editText !== text.stable && below(2)) {
          // A change on top of an older state.
          const old = A.getChanges(root, docs[i]).map(c => A.decodeChange(c).hash)
          if (old.length) docs[i] = A.changeAt(docs[i], [one(old)], o, d => edit(A, d)).newDoc
        }
        break
      }
      default:
        docs[i] = A.change(docs[i], o, d => {
          for (let n = 1 + below(4); n > 0; n--) below(2) ? edit(A, d) : editText(d)
        })
    }
  } catch (e) {
    // Edits that the client itself refuses make no change.
    refused.set(e.message, 1 + (refused.get(e.message) ?? 0))
  }
  for (let i = 1; i < docs.length; i++) docs[0] = A.merge(docs[0], docs[i])
  docs[0] = A.emptyChange(docs[0], { time: time, message: "merged" })
  // As a sync partner gets them: from a saved and loaded document.
  record(A, A.load(A.save(docs[0])))
}

let number = 1
for (let n = 0; n < 14; n++) {
  scenario(stable, text.stable, number++)
  scenario(next, text.next, number++)
  scenario(v3, text.v3, number++, n % 3 === 0 ? { author: hex(n, 8) } : {})
}

// What random edits do not come by.
for (const A of [next, v3]) {
  let d = A.from({ text: "" }, hex(5000))
  const at = { time: 1700000000 }
  d = A.change(d, at, d => A.splice(d, ["text"], 0, 0, "lorem ipsum ".repeat(1000)))
  d = A.change(d, at, d => A.splice(d, ["text"], 100, 9000))
  d = A.change(d, at, d => (d.nulls = new Array(5000).fill(null)))
  d = A.change(d, { time: Number.MAX_SAFE_INTEGER }, d => (d.x = 1))
  d = A.change(d, { time: -5 }, d => (d.y = new Date(-8.64e15)))
  d = A.change(d, at, d => (d[""] = ""))
  record(A, d)
}
{
  let d = v3.init({ actor: hex(7000), author: "aabbcc" })
  d = v3.change(d, { time: 1 }, d => (d.big = 2n ** 62n))
  d = v3.change(d, { time: 2 }, d => (d.big = -(2n ** 63n)))
  d = v3.change(d, { time: 3 }, d => (d.big = 2n ** 64n - 1n))
  record(v3, d)
}

const out = Buffer.concat(records.map(prefixed))
writeFileSync(new URL("../corpus.bin", import.meta.url), out)
console.log(`${records.length} changes, ${out.length} bytes`)
console.log("refused by the client:", refused)
