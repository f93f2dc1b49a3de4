const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3, notation: "compact" })

export const count = (value: number): string => (Number.isInteger(value) && Math.abs(value) < 100_000 ? whole.format(value) : short.format(value))
export const perSecond = (value: number): string => `${count(value < 10 ? Math.round(value * 10) / 10 : Math.round(value))}/s`
export const milliseconds = (value: number): string => `${short.format(value)} ms`

/** Bytes in decimal units. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"]
  const power = Math.min(Math.max(Math.floor(Math.log10(Math.max(value, 1)) / 3), 0), units.length - 1)
  return `${short.format(value / 1_000 ** power)} ${units[power]}`
}
