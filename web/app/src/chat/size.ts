import { type RefObject, useLayoutEffect } from "react"

/** What the server takes at most, in bytes. */
const most = 16 << 10
const encoder = new TextEncoder()

/** What is wrong with a text's length, if anything. */
export function tooLong(text: string): string | undefined {
  if (text.length * 3 <= most) return undefined // not even of the longest letters
  const { length } = encoder.encode(text)
  if (length <= most) return undefined
  return `A message has at most 16 KiB; this one has ${(length / 1024).toFixed(1)}.`
}

/** Makes a field as high as its text, up to its max-height. */
export function useGrowing(field: RefObject<HTMLTextAreaElement | null>, text: string): void {
  useLayoutEffect(() => {
    const { style } = field.current!
    style.height = "auto"
    const { scrollHeight, offsetHeight, clientHeight } = field.current!
    if (scrollHeight > 0) style.height = `${scrollHeight + offsetHeight - clientHeight}px`
  }, [field, text])
}
