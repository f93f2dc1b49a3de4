// Merge patches (RFC 7396) and JSON patches (RFC 6902) on plain JSON, as the RFCs
// have them and without a look at how Atrium does it; and random ones.

import { isDeepStrictEqual } from "node:util"
import type { Random } from "./random.ts"

export type Json = null | boolean | number | string | Json[] | JsonObject
export interface JsonObject {
  [key: string]: Json
}

/** `splice` is Atrium's own: a part of a text, in UTF-16 units. */
export type Operation =
  | { op: "add" | "replace" | "test"; path: string; value: Json }
  | { op: "remove"; path: string }
  | { op: "move" | "copy"; from: string; path: string }
  | { op: "splice"; path: string; index: number; delete: number; insert: string }

/** A patch that does not apply. */
export class PatchFailed extends Error {}

const isObject = (value: Json | undefined): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value)

export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch
  const merged: JsonObject = isObject(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key]
    else merged[key] = mergePatch(Object.hasOwn(merged, key) ? merged[key] : undefined, value)
  }
  return merged
}

export function jsonPatch(target: Json, ops: Operation[]): Json {
  const box = { "": structuredClone(target) } // so that the root has a parent, too
  for (const op of ops) apply(box, op)
  return box[""]
}

function apply(box: JsonObject, op: Operation): void {
  switch (op.op) {
    case "add":
      return add(box, op.path, structuredClone(op.value))
    case "remove":
      remove(box, op.path)
      return
    case "replace": {
      const [parent, key] = existing(box, op.path)
      parent[key] = structuredClone(op.value)
      return
    }
    case "test":
      if (!isDeepStrictEqual(get(box, op.path), op.value)) throw new PatchFailed(`${op.path} is something else`)
      return
    case "copy":
      return add(box, op.path, structuredClone(get(box, op.from)))
    case "move":
      if (op.path.startsWith(`${op.from}/`)) throw new PatchFailed(`${op.from} into itself`)
      return add(box, op.path, remove(box, op.from))
    case "splice": {
      const [parent, key] = existing(box, op.path)
      const text = parent[key]
      if (typeof text !== "string") throw new PatchFailed(`${op.path} is no text`)
      if (op.index + op.delete > text.length) throw new PatchFailed(`${op.path} is shorter`)
      parent[key] = text.slice(0, op.index) + op.insert + text.slice(op.index + op.delete)
    }
  }
}

/** The container that a pointer leads into, and the last of its tokens. */
function parentOf(box: JsonObject, pointer: string): [container: Json, token: string] {
  const tokens = pointer.split("/").map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"))
  let at: Json = box
  for (const token of tokens.slice(0, -1)) at = child(at, token)
  return [at, tokens.at(-1)!]
}

function child(container: Json, token: string): Json {
  if (Array.isArray(container) && isIndex(token, container.length - 1)) return container[Number(token)]!
  if (isObject(container) && Object.hasOwn(container, token)) return container[token]!
  throw new PatchFailed(`there is no ${token}`)
}

const isIndex = (token: string, last: number): boolean => /^(0|[1-9][0-9]*)$/.test(token) && Number(token) <= last

function get(box: JsonObject, pointer: string): Json {
  return child(...parentOf(box, pointer))
}

/** What holds the value at a pointer, which is there. */
function existing(box: JsonObject, pointer: string): [container: Record<string, Json>, key: string] {
  get(box, pointer)
  return parentOf(box, pointer) as [JsonObject, string]
}

function add(box: JsonObject, pointer: string, value: Json): void {
  const [parent, token] = parentOf(box, pointer)
  if (isObject(parent)) parent[token] = value
  else if (Array.isArray(parent) && token === "-") parent.push(value)
  else if (Array.isArray(parent) && isIndex(token, parent.length)) parent.splice(Number(token), 0, value)
  else throw new PatchFailed(`nothing can be added at ${pointer}`)
}

function remove(box: JsonObject, pointer: string): Json {
  const [parent, key] = existing(box, pointer)
  const value = parent[key]!
  if (Array.isArray(parent)) parent.splice(Number(key), 1)
  else delete parent[key]
  return value
}

// Random ones. What they do, they do outside of the root's keys in `except`.

export const randomKey = (random: Random): string => random.pick(["a", "b", "c", "0", "1", "~", "/", "é😀", "~1 long key"])

/** `huge` is a number besides others. JavaScript's Automerge would make an integer of 64 bits of such as 1e25, and another one. */
export function randomJson(random: Random, depth: number, huge = 1e25): Json {
  const values: (() => Json)[] = [
    () => null,
    () => random.chance(0.5),
    () => random.int(-5, 5),
    () => random.pick([0.5, -1e-9, huge, 2 ** 31, -(2 ** 52), 2 ** 53 - 2, 2 ** 54]),
    () => random.word(random.int(0, 8)),
    () => random.word(random.int(0, 8)),
  ]
  if (depth > 0) {
    values.push(
      () => Object.fromEntries(Array.from({ length: random.int(0, 4) }, () => [randomKey(random), randomJson(random, depth - 1, huge)])),
      () => Array.from({ length: random.int(0, 5) }, () => randomJson(random, depth - 1, huge)),
    )
  }
  return random.pick(values)()
}

export function randomMerge(random: Random, target: JsonObject, except: readonly string[]): JsonObject {
  const patch: JsonObject = {}
  for (const [key, value] of Object.entries(target)) {
    const what = except.includes(key) ? 9 : random.int(0, 9)
    if (what === 0) patch[key] = null
    else if (what === 1) patch[key] = randomJson(random, 2)
    else if (what <= 4 && typeof value === "string") patch[key] = edited(random, value)
    else if (what <= 4 && isObject(value)) patch[key] = randomMerge(random, value, [])
  }
  if (random.chance(0.5)) patch[randomKey(random)] = randomJson(random, 3)
  return patch
}

/** A text with something else in one place. */
function edited(random: Random, text: string): string {
  const letters = [...text]
  letters.splice(random.int(0, letters.length), random.int(0, 3), random.word(random.int(0, 5)))
  return letters.join("")
}

/** Operations that apply one after the other, mostly. */
export function randomOperations(random: Random, target: JsonObject, except: readonly string[]): Operation[] {
  const ops: Operation[] = []
  for (let n = random.int(1, 5), now: Json = target; n > 0; n--) {
    const op = randomOperation(random, now as JsonObject, except)
    ops.push(op)
    try {
      now = jsonPatch(now, [op])
    } catch {
      break
    }
  }
  return ops
}

function randomOperation(random: Random, target: JsonObject, except: readonly string[]): Operation {
  const { path, value } = randomPlace(random, target, except)
  const kind = random.int(0, 9)
  if (kind === 0) return { op: "test", path, value: random.chance(0.6) ? value : randomJson(random, 1) }
  if (kind === 1) return { op: "remove", path }
  if (kind <= 3) return { op: "replace", path, value: typeof value === "string" && random.chance(0.5) ? edited(random, value) : randomJson(random, 2) }
  if (kind <= 5) return { op: random.pick(["move", "copy"]), from: path, path: into(random, target, except) }
  if (kind <= 7 && typeof value === "string") {
    const letters = [...value]
    const from = random.int(0, letters.length)
    const deleted = letters.slice(from, random.int(from, letters.length)).join("")
    return { op: "splice", path, index: letters.slice(0, from).join("").length, delete: deleted.length, insert: random.word(random.int(0, 4)) }
  }
  return { op: "add", path: into(random, target, except), value: randomJson(random, 2) }
}

/** Where something can be added. */
function into(random: Random, target: JsonObject, except: readonly string[]): string {
  const { path, value } = randomPlace(random, target, except)
  if (Array.isArray(value)) return `${path}/${random.pick(["-", `${random.int(0, value.length)}`])}`
  return isObject(value) ? path + token(randomKey(random)) : path
}

function randomPlace(random: Random, target: JsonObject, except: readonly string[]): { path: string; value: Json } {
  const keys = Object.keys(target).filter((key) => !except.includes(key))
  if (keys.length === 0 || random.chance(0.05)) return { path: token(randomKey(random)), value: null }
  const key = random.pick(keys)
  let path = token(key)
  let value = target[key]!
  while (random.chance(0.6) && typeof value === "object" && value !== null && Object.keys(value).length > 0) {
    const inner = random.pick(Object.keys(value))
    path += token(inner)
    value = (value as JsonObject)[inner]!
  }
  return { path, value }
}

const token = (key: string): string => `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`
