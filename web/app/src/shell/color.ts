/** A user's color: the same everywhere, dark enough for white letters on it. */
export function colorOf(userId: string): string {
  let hash = 0
  for (const char of userId) hash = (hash * 31 + char.codePointAt(0)!) >>> 0
  return `hsl(${hash % 360} 65% 38%)`
}
