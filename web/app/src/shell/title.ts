// What the browser's tab says: the page's title, and how much is unread, in words and on the icon.

import { useEffect } from "react"

const plainIcon = "/icon.svg"
let page = ""
const unread = new Map<string, number>()

/** Names the page for as long as the component is there. */
export function useTitle(text: string): void {
  useEffect(() => {
    page = text
    show()
    return () => {
      if (page !== text) return // another page has named itself
      page = ""
      show()
    }
  }, [text])
}

/** Counts what is unread somewhere; the tab shows the sum over all sources. */
export function useUnread(source: string, count: number): void {
  useEffect(() => {
    unread.set(source, count)
    show()
    return () => {
      unread.delete(source)
      show()
    }
  }, [source, count])
}

function show(): void {
  const sum = [...unread.values()].reduce((total, count) => total + count, 0)
  document.title = `${sum > 0 ? `(${sum}) ` : ""}${page ? `${page} · ` : ""}Atrium`
  const link = document.querySelector<HTMLLinkElement>("link[rel=icon]")
  const href = sum > 0 ? iconWith(sum > 99 ? "99" : String(sum)) : plainIcon
  if (link && link.getAttribute("href") !== href) link.href = href
}

/** The icon with a number in its lower corner. */
function iconWith(count: string): string {
  const width = count.length > 1 ? 22 : 16
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
    <path d="M4 27V14a12 12 0 0 1 24 0v13h-6V14a6 6 0 0 0-12 0v13z" fill="#2f62d4"/>
    <rect x="${32 - width}" y="15" width="${width}" height="17" rx="8" fill="#c62a20"/>
    <text x="${32 - width / 2}" y="28.5" font-family="sans-serif" font-size="14" font-weight="700" fill="#fff" text-anchor="middle">${count}</text>
  </svg>`
  return `data:image/svg+xml,${encodeURIComponent(svg)}`
}
