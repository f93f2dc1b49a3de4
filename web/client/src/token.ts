// Tokens are read here, not verified: that is the server's business.

/** The claims of a JWT; nothing for what is none. */
function claims(token: string): { exp?: number; iat?: number } {
  try {
    const payload = token.split(".")[1] ?? ""
    return JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as object
  } catch {
    return {} // an opaque token, which the server may know how to read
  }
}

/**
 * For how many milliseconds a token holds, Infinity if it does not say. Where this
 * machine's clock is plainly wrong, that of the token's issuer counts.
 */
export function life(token: string, now = Date.now()): number {
  const { exp, iat } = claims(token)
  if (typeof exp !== "number") return Infinity
  const left = exp * 1_000 - now
  if (typeof iat !== "number") return left
  const whole = (exp - iat) * 1_000
  return left <= 0 ? whole : Math.min(left, whole)
}

/** When to ask for the next token, in milliseconds from now: at four fifths of its life, a minute before its end at most. */
export function refreshIn(life: number): number {
  return Math.max(Math.max(life * 0.8, life - 60_000), 1_000)
}
