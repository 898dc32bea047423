// What is told, when, and in how many requests.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { article, visit } from './site'

const site = visit()

const head = `
<link rel="canonical" href="https://news.example/2026/a">
<meta name="author" content="Ada Byron">
<meta property="article:section" content="Coast">
<meta property="article:published_time" content="2026-10-01T10:00:00+02:00">`

describe('the view', () => {
  test('says what the page says of itself', async () => {
    site.serve('/a', article({ head }))
    const { page } = await site.reader({ locale: 'fr-FR', timezoneId: 'Europe/Paris', viewport: { width: 390, height: 700 } })
    await page.goto('/a', { referer: 'https://t.example/' })
    const { beacon } = await site.event('view')
    expect(beacon).toMatchObject({
      title: 'The wind turned',
      language: 'fr-FR',
      zone: 'Europe/Paris',
      width: 390,
      canonical: 'https://news.example/2026/a',
      author: 'Ada Byron',
      section: 'Coast',
      published: '2026-10-01T08:00:00.000Z',
      referrer: 'https://t.example/',
    })
    expect(JSON.stringify(beacon).length).toBeLessThanOrEqual(700)
  })

  test('of the example page is complete', async () => {
    site.serve('/article.html', readFileSync(new URL('../../../docs/examples/pages/article.html', import.meta.url), 'utf8'))
    const { page, errors } = await site.reader()
    await page.goto('/article.html#method')
    const { beacon, event } = await site.event('view')
    expect(event.hash).toBe('written')
    expect(beacon).toMatchObject({
      site: 'localhost',
      title: 'The night the harbour counted its herons',
      author: 'Nora Lind',
      section: 'Coast',
      published: '2026-10-01T06:30:00.000Z',
    })
    expect(errors).toEqual([])
  })

  test('leaves out what the page does not say, and a date that is none', async () => {
    site.serve('/a', article({ head: '<meta property="article:published_time" content="last week">' }))
    const { page } = await site.reader()
    await page.goto('/a')
    const { beacon } = await site.event('view')
    for (const field of ['canonical', 'author', 'section', 'published', 'referrer', 'via', 'return', 'app', 'visitor']) {
      expect(beacon).not.toHaveProperty(field)
    }
  })

  test('is one simple request of plain text', async () => {
    const { page } = await site.reader()
    await page.goto('/2026/a')
    await site.event('view')
    expect(site.requests).toHaveLength(1)
    expect(site.requests[0]).toMatchObject({ method: 'POST', path: '/e' })
    expect(site.requests[0]!.headers['content-type']).toMatch(/^text\/plain/)
  })

  test('knows Telegram’s browser by its global', async () => {
    const { page } = await site.reader({ init: 'window.TelegramWebviewProxy = {}' })
    await page.goto('/2026/a')
    expect((await site.event('view')).beacon.app).toBe('telegram')
  })

  test('of an address too long is still told', async () => {
    const { page } = await site.reader()
    await page.goto('/2026/a?q=' + 'x'.repeat(3000))
    expect((await site.event('view')).beacon.page).toHaveLength(2048)
  })

  test('of a reader who leaves before load is told', async () => {
    let free = () => {}
    site.serve('/a', article({ body: '<img src="/never">' }))
    const { page } = await site.reader()
    await page.route('**/never', () => new Promise<void>((resolve) => (free = resolve)))
    await page.goto('/a', { waitUntil: 'domcontentloaded' })
    expect(site.beacons()).toEqual([])
    await page.goto('/2026/b')
    expect((await site.event('view', 0)).beacon.page).toBe(`${site.origin}/a`)
    expect((await site.event('view', 1)).beacon.page).toBe(`${site.origin}/2026/b`)
    free()
  })
})

describe('engagement', () => {
  test('is told on leaving, in the second of two requests', async () => {
    const { page } = await site.reader()
    await page.goto('/2026/a')
    const { beacon: first } = await site.event('view')
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight / 2))
    await page.waitForFunction(() => scrollY > 100)
    await site.leave(page)
    const { beacon, event } = await site.event('engage')
    expect(beacon).toMatchObject({ view: first.view, seq: 1 })
    expect(event.visible).toBeGreaterThan(0)
    expect(event.scroll).toBeGreaterThan(40)
    expect(event.scroll).toBeLessThan(90)
    expect(site.beacons()).toHaveLength(2)
  })

  test('counts the time the page was seen, not the time it was hidden', async () => {
    const { page } = await site.reader({
      init: `
        let now = 1000, hidden = false
        performance.now = () => now
        Object.defineProperty(document, 'hidden', { get: () => hidden })
        window.pass = (ms) => { now += ms }
        window.show = (shown) => { hidden = !shown; document.dispatchEvent(new Event('visibilitychange')) }`,
    })
    await page.goto('/2026/a')
    await site.event('view')
    await page.evaluate('pass(5000); show(false)')
    expect((await site.event('engage', 0)).event.visible).toBe(5000)
    await page.evaluate('pass(60000); show(true); pass(2000); show(false)')
    expect((await site.event('engage', 1)).event.visible).toBe(7000)
    // Nothing new, nothing told.
    await page.evaluate('pass(60000)')
    await site.leave(page)
    await site.reader().then(({ page }) => page.goto('/2026/b'))
    await site.event('view', 1)
    expect(site.events('engage')).toHaveLength(2)
  })
})

describe('the way out', () => {
  test('is fetch where the browser takes no more beacons', async () => {
    const { page, errors } = await site.reader({ init: 'navigator.sendBeacon = () => false' })
    await page.goto('/2026/a')
    await site.event('view')
    expect(site.requests[0]!.headers['content-type']).toMatch(/^text\/plain/)
    expect(errors).toEqual([])
  })

  test('is the endpoint of the attribute', async () => {
    site.serve('/a', article({ attributes: 'data-endpoint="/other/way"' }))
    const { page } = await site.reader()
    await page.goto('/a')
    await site.event('view')
    expect(site.requests[0]!.path).toBe('/other/way')
  })
})
