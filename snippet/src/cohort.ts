// Level strict: all readers of a page in one hour and generation carry the same
// token, so that it names nobody. The generation is one more than that of the
// token the reader came by.

import { minutes, seal } from './token'

const { imul } = Math

/** bryc's 53-bit hash with seed 0, over UTF-16 code units (github.com/bryc/code, public domain). */
export const cyrb53 = (text: string): number => {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let i = 0; i < text.length; ) {
    const unit = text.charCodeAt(i++)
    a = imul(a ^ unit, 2654435761)
    b = imul(b ^ unit, 1597334677)
  }
  a = imul(a ^ (a >>> 16), 2246822507) ^ imul(b ^ (b >>> 13), 3266489909)
  b = imul(b ^ (b >>> 16), 2246822507) ^ imul(a ^ (a >>> 13), 3266489909)
  return 2 ** 32 * (2097151 & b) + (a >>> 0)
}

export const cohort = (site: string, page: string, hour: number, generation: number): string =>
  seal(hour * 60, cyrb53(`${site}\n${page.replace(/[?#].*/, '')}\n${hour}\n${generation}`) % 62 ** 6)

/** The cohort of a reader who opens page at a minute, having come by the token via ('' fits none). */
export const joinCohort = (site: string, page: string, via: string, at: number, returned: boolean): string => {
  let generation = 0
  for (let g = 0; g < 10; g++) {
    if (cohort(site, page, minutes(via) / 60, g) === via) generation = returned || g > 8 ? g : g + 1
  }
  return cohort(site, page, (at / 60) | 0, generation)
}
