/** A user's color: the same everywhere, and of every hue dark enough for white letters on it. */
export function colorOf(userId: string): string {
  let hash = 0
  for (const char of userId) hash = (hash * 31 + char.codePointAt(0)!) >>> 0
  return `oklch(48% 0.14 ${hash % 360})`
}
