// passalong(command, options), as a page calls it.

import { describe, expect, test } from 'vitest'
import { cohort } from '../../src/cohort'
import { checks, minutes } from '../../src/token'
import { address, article, tokenIn, visit, type Article } from './site'

const site = visit()

const stub = `<script>window.passalong = window.passalong || function () { (passalong.q = passalong.q || []).push(arguments) }</script>`

const open = async (options: Article = {}, path = '/a') => {
  site.serve(path, article(options))
  const reader = await site.reader()
  await reader.page.goto(path)
  return reader
}

describe('convert', () => {
  test('goes at once, and alone', async () => {
    const { page } = await open()
    const { beacon: view } = await site.event('view')
    await page.evaluate(`passalong('convert', { name: 'subscription', value: 49.9, currency: 'EUR', order: 'A-17' })`)
    const { beacon, event } = await site.event('convert')
    expect(event).toEqual({ type: 'convert', age: 0, name: 'subscription', value: 49.9, currency: 'EUR', order: 'A-17' })
    expect(beacon.events).toHaveLength(1)
    expect(beacon.view).toBe(view.view)
  })

  test('called before the script was there comes after the view', async () => {
    await open({ head: `${stub}<script>passalong('convert', { name: 'early', value: 0 })</script>` })
    const { beacon, event } = await site.event('convert')
    expect(event).toMatchObject({ name: 'early', value: 0 })
    expect(site.events('view')).toHaveLength(1)
    expect(beacon.seq).toBeGreaterThan(0)
  })
})

describe('link and share', () => {
  test('link is the address with the view’s token, also where the address bar has none', async () => {
    const { page } = await open({ attributes: 'data-hash="off"' })
    const { beacon } = await site.event('view')
    expect(await page.evaluate(`passalong('link')`)).toBe(`${site.origin}/a#.${beacon.view}`)
    expect(await address(page)).toBe(`${site.origin}/a`)
  })

  test('each share has a token of its own', async () => {
    const { page } = await open()
    const { beacon } = await site.event('view')
    const url = (await page.evaluate(`passalong('share', { channel: 'whatsapp' })`)) as string
    const again = (await page.evaluate(`passalong('share', { channel: 'copy', url: '/2026/b?x=1#comments' })`)) as string
    const first = await site.event('share', 0)
    const second = await site.event('share', 1)
    expect(url).toBe(`${site.origin}/a#.${first.event.token}`)
    expect(again).toBe(`${site.origin}/2026/b?x=1#comments.${second.event.token}`)
    expect(first.event).toMatchObject({ channel: 'whatsapp' })
    expect(second.event).toMatchObject({ channel: 'copy' })
    expect(new Set([beacon.view, first.event.token, second.event.token]).size).toBe(3)
    expect(checks(tokenIn(url))).toBe(true)
  })

  test('a share whose outcome is told keeps its token', async () => {
    const { page } = await open()
    await site.event('view')
    const url = await page.evaluate(`passalong('share', { channel: 'sheet', outcome: 'offered' })`)
    await page.evaluate((url) => (window as any).passalong('share', { channel: 'sheet', url, outcome: 'done' }), url)
    const offered = await site.event('share', 0)
    const done = await site.event('share', 1)
    expect(offered.event.outcome).toBe('offered')
    expect(done.event).toMatchObject({ outcome: 'done', token: offered.event.token })
  })
})

describe('the answer widget', () => {
  test('asks and answers', async () => {
    const { page } = await open()
    await site.event('view')
    await page.evaluate(`passalong('ask'); passalong('answer', { source: 'person', channel: 'whatsapp', mood: 0, text: 'my aunt' })`)
    await site.event('ask')
    expect((await site.event('answer')).event).toMatchObject({ source: 'person', channel: 'whatsapp', mood: 0, text: 'my aunt' })
  })
})

describe('loaded twice', () => {
  test('is loaded once', async () => {
    const tag = '<script defer src="/passalong.js" data-site="news.example"></script>'
    const { page, errors } = await open({ script: tag + tag })
    await site.event('view')
    await site.settle(page)
    expect(site.events('view')).toHaveLength(1)
    expect(errors).toEqual([])
  })
})

describe('consent', () => {
  test('at level consent nothing is written, sent or counted before it', async () => {
    const { page } = await open({ attributes: 'data-privacy="consent"', body: '<p id="p">some words</p>' }, '/b')
    await page.goto('/b#comments.1eSohP9aQz3')
    await page.evaluate(() => getSelection()!.selectAllChildren(document.querySelector('#p')!))
    await page.keyboard.press('Control+c')
    await page.evaluate(`passalong('convert', { name: 'too early' })`)
    await site.settle(page)
    expect(site.beacons()).toEqual([])
    expect(await address(page)).toBe(`${site.origin}/b#comments.1eSohP9aQz3`)
    expect(await page.evaluate(`passalong('link')`)).toBe(`${site.origin}/b#comments`)
    await page.evaluate(`passalong('consent', { visitor: 'v-1' })`)
    const { beacon } = await site.event('view')
    expect(beacon).toMatchObject({ privacy: 'consent', visitor: 'v-1', via: '1eSohP9aQz3' })
    expect(await address(page)).toMatch(new RegExp(`#comments\\.${beacon.view}$`))
    await site.leave(page)
    expect((await site.event('engage')).beacon.events.map(({ type }) => type)).toEqual(['engage'])
    expect(site.events('convert')).toEqual([])
  })

  test('given before the script was there counts from the first beacon', async () => {
    await open({ attributes: 'data-privacy="consent"', head: `${stub}<script>passalong('consent', { visitor: 'v-2' })</script>` })
    expect((await site.event('view')).beacon.visitor).toBe('v-2')
    expect(site.events('view')).toHaveLength(1)
  })

  test('late joins the view already counted', async () => {
    const { page } = await open()
    const { beacon: view } = await site.event('view')
    expect(view.visitor).toBeUndefined()
    await page.evaluate(`passalong('consent', { visitor: 17 })`)
    const { beacon } = await site.event('engage')
    expect(beacon).toMatchObject({ view: view.view, visitor: '17', seq: 1 })
    expect(site.events('view')).toHaveLength(1)
  })
})

describe('level strict', () => {
  const name = (page: string, view: string, generation: number) =>
    cohort('news.example', page, minutes(view) / 60, generation)

  test('a token names a page, an hour and a generation', async () => {
    await open({ attributes: 'data-privacy="strict"' })
    const { beacon } = await site.event('view')
    expect(beacon.privacy).toBe('strict')
    expect(minutes(beacon.view) % 60).toBe(0)
    expect(beacon.view).toBe(name(`${site.origin}/a`, beacon.view, 0))
  })

  test('who arrives is one generation further, who comes back the same', async () => {
    const { page } = await open({ attributes: 'data-privacy="strict"' })
    const { beacon: root } = await site.event('view', 0)
    const friend = await site.reader()
    await friend.page.goto(await address(page))
    const { beacon: child } = await site.event('view', 1)
    expect(child.via).toBe(root.view)
    expect(child.view).toBe(name(`${site.origin}/a`, child.view, 1))
    await friend.page.reload()
    const { beacon: again } = await site.event('view', 2)
    expect(again).toMatchObject({ return: true, via: child.view })
    expect(again.view).toBe(name(`${site.origin}/a`, again.view, 1))
  })

  test('a share carries the view’s own token, a quote is never told', async () => {
    const { page } = await open({ attributes: 'data-privacy="strict" data-quotes', body: '<p id="p">some words</p>' })
    const { beacon } = await site.event('view')
    expect(await page.evaluate(`passalong('share', { channel: 'whatsapp' })`)).toBe(`${site.origin}/a#.${beacon.view}`)
    expect((await site.event('share')).event.token).toBe(beacon.view)
    await page.evaluate(() => getSelection()!.selectAllChildren(document.querySelector('#p')!))
    await page.keyboard.press('Control+c')
    await site.leave(page)
    expect((await site.event('copy')).event).not.toHaveProperty('quote')
  })
})
