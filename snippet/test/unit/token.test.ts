import { describe, expect, test } from 'vitest'
import { tokenIn } from '../../src/fragment'
import { checks, minutes, minutesOf, mint, seal } from '../../src/token'
import { vectors } from '../vectors'

const table = vectors('tokens.tsv')

/** Six digits of base 62 as a number, by the other way round: trying. */
const numberOf = (six: string): number => {
  const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
  return [...six].reduce((n, c) => n * 62 + alphabet.indexOf(c), 0)
}

test('the table has vectors', () => expect(table.length).toBeGreaterThan(20))

describe('a token is taken for one, with its minutes, and nothing else is', () => {
  test.each(table)('$case', (v) => {
    const valid = v.valid === 'true'
    expect(v.token !== '' && tokenIn(`https://news.example/a#.${v.token}`) === v.token).toBe(valid)
    if (valid) expect(minutes(v.token!)).toBe(Number(v.minutes))
  })
})

describe('made of its time and six characters', () => {
  test.each(table.filter((v) => v.at))('$case', (v) => {
    expect(seal(minutesOf(Date.parse(v.at!)), numberOf(v.digits!))).toBe(v.token)
  })
})

test('text order is time order', () => {
  const made = [0, 1, 61, 62, 3843, 3844, 393874, 62 ** 4 - 1].map((at) => seal(at, 0))
  expect([...made].sort()).toEqual(made)
})

test('a thousand that were minted are tokens, and all different', () => {
  const made = Array.from({ length: 1000 }, mint)
  expect(made.filter((token) => !/^[0-9A-Za-z]{11}$/.test(token) || !checks(token))).toEqual([])
  expect(new Set(made).size).toBe(1000)
})

test('every minted token says the minute it was made in', () => {
  const before = Math.floor(minutesOf())
  const said = minutes(mint())
  expect(said).toBeGreaterThanOrEqual(before)
  expect(said).toBeLessThanOrEqual(minutesOf())
})
