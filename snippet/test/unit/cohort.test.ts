import { describe, expect, test } from 'vitest'
import { cohort, cyrb53, joinCohort } from '../../src/cohort'
import { checks } from '../../src/token'
import { vectors } from '../vectors'

const table = vectors('cohorts.tsv')
const site = 'news.example'
const page = 'https://news.example/2026/10/the-long-read'
const noon = 6564 * 60 // the hour of the table, in minutes

test('cyrb53 is the published function', () => expect(cyrb53('a')).toBe(7929297801672961))

describe('cohort', () => {
  test.each(table)('$case', (v) => {
    const made = cohort(v.site!, v.page!, Number(v.hour), Number(v.generation))
    expect(made).toBe(v.token)
    expect(checks(made)).toBe(true)
  })
})

describe('the cohort a reader joins', () => {
  const parent = (generation: number) => cohort(site, page, 6563, generation)
  test.each([
    ['by no token: 0', '', false, 0],
    ['by a token of generation 0: 1', parent(0), false, 1],
    ['by a token of generation 8: 9', parent(8), false, 9],
    ['by a token of generation 9: 9', parent(9), false, 9],
    ['back again: the same', parent(4), true, 4],
    ['by a token of another page: 0', cohort(site, page + '/2', 6563, 3), false, 0],
    ['by a token that is no cohort: 0', '1eSohP9aQz3', false, 0],
  ])('%s', (_, via, returned, generation) => {
    expect(joinCohort(site, page, via, noon + 59, returned)).toBe(cohort(site, page, 6564, generation))
  })

  test('query and fragment do not part readers', () =>
    expect(joinCohort(site, page + '?utm_source=x#comments', parent(0), noon, false)).toBe(cohort(site, page, 6564, 1)))
})
