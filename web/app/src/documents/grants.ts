import type { Access } from "atrium-client"

/**
 * What a token's patterns say of a document: an exact name counts most, then the
 * longest prefix. The server says the same, later; it has the last word.
 */
export function granted(patterns: Record<string, string>, documentId: string): Access | undefined {
  const fitting = Object.keys(patterns)
    .filter((pattern) => (pattern.endsWith("*") ? documentId.startsWith(pattern.slice(0, -1)) : pattern === documentId))
    .sort((a, b) => Number(a.endsWith("*")) - Number(b.endsWith("*")) || b.length - a.length)
  const level = fitting[0] === undefined ? "none" : patterns[fitting[0]]
  return level === "read" || level === "write" ? level : undefined
}

/** The documents that a token names one by one. */
export const named = (patterns: Record<string, string>): string[] =>
  Object.keys(patterns).filter((pattern) => !pattern.endsWith("*") && granted(patterns, pattern) !== undefined)
