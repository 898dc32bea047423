import { describe, expect, test } from 'vitest'
import { kindOf } from '../../src/kind'

describe('what a copied text is', () => {
  test.each([
    ['https://news.example/2026/a#.1eSohP9aQz3', 'link'],
    ['www.news.example/a', 'link'],
    ['see https://news.example/a', 'text'],
    ['desk@news.example', 'email'],
    ['mailto:desk@news.example', 'email'],
    ['first.last+tag@mail.news.example', 'email'],
    ['write to desk@news.example', 'text'],
    ['@newsdesk', 'text'],
    ['+33 1 23 45 67 89', 'phone'],
    ['+1 (555) 123-4567', 'phone'],
    ['(555) 123-4567', 'phone'],
    ['555-123-4567', 'phone'],
    ['01 23 45 67 89', 'phone'],
    ['0033123456789', 'phone'],
    ['020 7946 0000', 'phone'],
    ['tel:+33123456789', 'phone'],
    ['2026-10-01', 'text'],
    ['(1990-2000)', 'text'],
    ['1 200 000', 'text'],
    ['1234567', 'text'],
    ['0.5', 'text'],
    ['12/10/2026', 'text'],
    ['01.10.2026', 'text'],
    ['01-10-2026', 'text'],
    ['09:30', 'text'],
    ['The wind turned at noon.', 'text'],
  ])('%s: %s', (text, want) => expect(kindOf(text)).toBe(want))
})
