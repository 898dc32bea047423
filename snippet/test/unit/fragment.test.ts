import { describe, expect, test } from 'vitest'
import { tokened, tokenIn } from '../../src/fragment'
import { vectors } from '../vectors'

const page = 'https://news.example/b?c=1'
const token = '1eSohP9aQz3'
const other = '0000000001A'

describe('cut from a fragment', () => {
  test.each(vectors('fragments.tsv'))('$case', (v) => {
    const url = `${page}#${v.fragment}`
    expect(tokenIn(url)).toBe(v.token)
    expect(tokened(url)).toBe(page + (v.rest && '#') + v.rest)
  })
})

test('what looks like a token in the path is none', () => {
  expect(tokenIn(`https://news.example/a.${token}`)).toBe('')
  expect(tokened(`https://news.example/a.${token}`)).toBe(`https://news.example/a.${token}`)
})

describe('put into an address', () => {
  test.each([
    ['without a fragment', page, `${page}#.${token}`],
    ['with an empty fragment', `${page}#`, `${page}#.${token}`],
    ['behind an anchor', `${page}#comments`, `${page}#comments.${token}`],
    ['behind an anchor with a dot', `${page}#1.2`, `${page}#1.2.${token}`],
    ['behind an escaped anchor', `${page}#caf%C3%A9`, `${page}#caf%C3%A9.${token}`],
    ['in place of another', `${page}#.${other}`, `${page}#.${token}`],
    ['in place of another, behind an anchor', `${page}#comments.${other}`, `${page}#comments.${token}`],
  ])('%s', (_, url, want) => expect(tokened(url, token)).toBe(want))
})

describe('not put behind a route or a value', () => {
  test.each(['/news', '!news', '!/news', 'help/7', 'access_token=x&state=y', 'Echobox=1696', '?q'])('#%s', (rest) => {
    expect(tokened(`${page}#${rest}`, token)).toBe(`${page}#${rest}`)
    expect(tokened(`${page}#${rest}.${other}`, token)).toBe(`${page}#${rest}`)
  })
})
