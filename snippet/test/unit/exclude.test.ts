import { describe, expect, test } from 'vitest'
import { excluded } from '../../src/exclude'

describe('excluded', () => {
  test.each([
    ['the front page, by default', '/', '/', true],
    ['an article, by default', '/2026/a', '/', false],
    ['nothing is excluded', '/', '', false],
    ['one of several', '/search', '/ /search', true],
    ['all below a folder', '/account/orders/7', '/account/*', true],
    ['not beside it', '/accounts', '/account/*', false],
    ['in the middle', '/fr/tag/vent', '/*/tag/*', true],
    ['the whole path, not a part of it', '/news/search', '/search', false],
    ['a dot is a dot', '/aXhtml', '/a.html', false],
    ['signs of regular expressions are plain', '/a(b)+', '/a(b)+', true],
  ])('%s', (_, path, patterns, want) => expect(excluded(path, patterns)).toBe(want))
})
