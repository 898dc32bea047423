// The same reader again: reload, back and forward. And moves inside an
// application of one page, which are views of their own.

import { describe, expect, test } from 'vitest'
import { address, article, visit } from './site'

const site = visit()

describe('the browser came back', () => {
  test('by reload: a new token, the old one is via', async () => {
    const { page } = await site.reader()
    await page.goto('/2026/a')
    const first = await site.event('view', 0)
    await page.reload()
    const { beacon } = await site.event('view', 1)
    expect(beacon).toMatchObject({ return: true, via: first.beacon.view, page: `${site.origin}/2026/a`, seq: 0 })
    expect(beacon.view).not.toBe(first.beacon.view)
    expect(await address(page)).toBe(`${site.origin}/2026/a#.${beacon.view}`)
  })

  test('by the back button: to the address it had left', async () => {
    const { page } = await site.reader()
    await page.goto('/2026/a')
    const first = await site.event('view', 0)
    await page.goto('/2026/b')
    expect((await site.event('view', 1)).beacon.return).toBeUndefined()
    await page.goBack()
    const { beacon } = await site.event('view', 2)
    expect(beacon).toMatchObject({ return: true, via: first.beacon.view, page: `${site.origin}/2026/a` })
    await page.goForward()
    expect((await site.event('view', 3)).beacon).toMatchObject({ return: true, page: `${site.origin}/2026/b` })
  })

  test('by reload behind an anchor: the place is kept', async () => {
    const { page } = await site.reader()
    await page.goto('/2026/a#comments')
    await site.event('view', 0)
    await page.reload()
    const { beacon } = await site.event('view', 1)
    expect(await address(page)).toBe(`${site.origin}/2026/a#comments.${beacon.view}`)
    expect(await page.evaluate(() => document.querySelector(':target')?.id)).toBe('comments')
  })

  test('not by a link', async () => {
    site.serve('/a', article({ body: '<a href="/2026/b" id="on">read on</a>' }))
    const { page } = await site.reader()
    await page.goto('/a')
    await site.event('view', 0)
    await page.click('#on')
    const { beacon } = await site.event('view', 1)
    expect(beacon.return).toBeUndefined()
    expect(beacon.via).toBeUndefined()
    expect(beacon.referrer).toBe(`${site.origin}/a`)
  })
})

describe('another’s token in an open page', () => {
  test('is an arrival', async () => {
    const { page } = await site.reader()
    await page.goto('/2026/a')
    await site.event('view', 0)
    await page.evaluate(() => (location.hash = '.1eSohP9aQz3'))
    const { beacon } = await site.event('view', 1)
    expect(beacon.via).toBe('1eSohP9aQz3')
    expect(beacon.return).toBeUndefined()
    expect(await address(page)).toBe(`${site.origin}/2026/a#.${beacon.view}`)
  })
})

const router = `<script>
  addEventListener('popstate', (e) => { document.title = (e.state || {}).title || '' })
  window.go = (path, title) => { history.pushState({ title }, '', path); document.title = title }
</script>`

// Without the Navigation API, as in Firefox before 147: the address is looked at once a second.
describe.each([
  ['told by the Navigation API', ''],
  ['seen without it', `Object.defineProperty(window, 'navigation', { value: undefined })`],
])('moves inside one page, %s', (_, init) => {
  test('are views, with the page before as referrer', async () => {
    site.serve('/a', article({ head: router }))
    const { page } = await site.reader({ init })
    await page.goto('/a')
    const first = await site.event('view', 0)
    await page.evaluate(`go('/b?x=1', 'The second')`)
    const { beacon } = await site.event('view', 1)
    expect(beacon).toMatchObject({ page: `${site.origin}/b?x=1`, title: 'The second', referrer: `${site.origin}/a`, seq: 0 })
    expect(beacon.via).toBeUndefined()
    expect(beacon.return).toBeUndefined()
    expect(beacon.view).not.toBe(first.beacon.view)
    expect(await address(page)).toBe(`${site.origin}/b?x=1#.${beacon.view}`)
    expect(await page.evaluate('history.state')).toEqual({ title: 'The second' })
    // What there was to tell of the first has been told.
    expect(site.beacons().filter(({ view }) => view === first.beacon.view).at(-1)!.events[0]!.type).toBe('engage')
  })

  test('back is a return, by the token that stood there', async () => {
    site.serve('/a', article({ head: router }))
    const { page } = await site.reader({ init })
    await page.goto('/a')
    const first = await site.event('view', 0)
    await page.evaluate(`go('/b', 'b')`)
    await site.event('view', 1)
    await page.evaluate('history.back()')
    const { beacon } = await site.event('view', 2)
    expect(beacon).toMatchObject({ return: true, via: first.beacon.view, page: `${site.origin}/a` })
    expect(await address(page)).toBe(`${site.origin}/a#.${beacon.view}`)
  })
})

describe('moves that are no views', () => {
  test('a changed query keeps the token', async () => {
    const { page } = await site.reader()
    await page.goto('/2026/a?utm_source=x')
    const { beacon } = await site.event('view')
    await page.evaluate(() => history.replaceState(null, '', '/2026/a'))
    await page.waitForFunction((end) => location.href.endsWith(end), `/2026/a#.${beacon.view}`)
    expect(site.events('view')).toHaveLength(1)
  })

  test('data-auto="off" leaves them to the page', async () => {
    site.serve('/a', article({ head: router, attributes: 'data-auto="off"' }))
    const { page } = await site.reader()
    await page.goto('/a')
    await site.settle(page)
    expect(site.events('view')).toEqual([])
    expect(await address(page)).toBe(`${site.origin}/a`)
    await page.evaluate(`passalong('view')`)
    await site.event('view', 0)
    await page.evaluate(`go('/b', 'b'); passalong('view', { page: '/virtual' })`)
    const { beacon } = await site.event('view', 1)
    expect(beacon).toMatchObject({ page: `${site.origin}/virtual`, referrer: `${site.origin}/a` })
    expect(await address(page)).toBe(`${site.origin}/b#.${beacon.view}`)
  })
})
