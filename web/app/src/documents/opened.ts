// Which documents this browser has opened, for whoever cannot see the list of all.

import { isValidDocumentId } from "@automerge/automerge-repo"

export interface Opened {
  title: string
  openedAt: number
}

const atMost = 100
const key = (userId: string) => `atrium.opened.${userId}`

export function openedBy(userId: string): Record<string, Opened> {
  try {
    const kept = JSON.parse(localStorage.getItem(key(userId)) ?? "{}") as Record<string, Opened>
    return Object.fromEntries(Object.entries(kept).filter(([id]) => isValidDocumentId(id)))
  } catch {
    return {}
  }
}

export function remember(userId: string, documentId: string, opened: Opened): void {
  const all = Object.entries({ ...openedBy(userId), [documentId]: opened })
  keep(userId, all.sort(([, a], [, b]) => b.openedAt - a.openedAt).slice(0, atMost))
}

export function forget(userId: string, documentId: string): void {
  keep(userId, Object.entries(openedBy(userId)).filter(([id]) => id !== documentId))
}

function keep(userId: string, entries: [string, Opened][]): void {
  localStorage.setItem(key(userId), JSON.stringify(Object.fromEntries(entries)))
}
