// A token names one page view: four characters of minutes since 2026, six of
// chance, one check character, all in base 62 (0-9 A-Z a-z, so that text order
// is time order). The vectors that Go and this file must agree on lie in
// collector/token/testdata.

const epoch = 29453760 // minutes from 1970 to 2026

// Base 36, which the language knows, and 26 lower-case letters behind it. What
// is no digit has the value NaN, which no check character has.
const digit = (n: number) => (n < 36 ? n.toString(36).toUpperCase() : (n - 26).toString(36))
const value = (c: string) => parseInt(c, 36) + (c > 'Z' ? 26 : 0)

/** n, or the whole number below it, in base 62, most significant first. */
export const digits = (n: number, length: number): string =>
  length ? digits(Math.floor(n / 62), length - 1) + digit(n % 62 | 0) : ''

/** The check character of the ten that token begins with. */
const check = (token: string) => {
  return digit([...token].reduce((sum, c, i) => (i < 10 ? sum + value(c) * ++i : sum), 0) % 62)
}

/** Whether a text of eleven characters is a token. */
export const checks = (token: string): boolean => check(token) === token[10]

/** Minutes since 2026 of a time in ms, or of now: none before it, and no more than four characters hold. */
export const minutesOf = (ms = Date.now()): number => Math.min(Math.max(ms / 6e4 - epoch, 0), 62 ** 4 - 1)

/** The minutes a token says. */
export const minutes = (token: string): number => {
  return [...token].reduce((n, c, i) => (i < 4 ? n * 62 + value(c) : n), 0)
}

/** A token of minutes and a number below 62⁶. */
export const seal = (at: number, six: number): string => {
  const body = digits(at, 4) + digits(six, 6)
  return body + check(body)
}

/**
 * A token unlikely to meet another. It is a name and no secret, so Math.random
 * will do: 36 of its 52 bits are used, all three engines seed it from the
 * system's own chance for each document, and a page without crypto has it too.
 */
export const mint = (): string => seal(minutesOf(), Math.random() * 62 ** 6)
