// Readers who said no, and pages where something is in the way: no token, no
// beacon, or no success, and never an error that the page or its console hears.

import { describe, expect, test } from 'vitest'
import { address, article, script, visit } from './site'

const site = visit()
const friend = '1eSohP9aQz3'

describe('a reader who said no', () => {
  test.each([
    ['by Global Privacy Control', `Object.defineProperty(navigator, 'globalPrivacyControl', { value: true })`],
    ['by Do-Not-Track', `Object.defineProperty(navigator, 'doNotTrack', { value: '1' })`],
  ])('%s: address untouched, nothing sent', async (_, init) => {
    const { page, errors } = await site.reader({ init })
    await page.goto(`/2026/a#comments.${friend}`)
    await site.settle(page)
    expect(await address(page)).toBe(`${site.origin}/2026/a#comments.${friend}`)
    await page.evaluate(`passalong('convert', { name: 'x' }); passalong('consent', { visitor: 'v' })`)
    expect(await page.evaluate(`passalong('link')`)).toBe(`${site.origin}/2026/a#comments`)
    expect(await page.evaluate(`passalong('share', { channel: 'copy', url: '/2026/b' })`)).toBe(`${site.origin}/2026/b`)
    await page.evaluate(`history.pushState(null, '', '/2026/c')`)
    await site.settle(page)
    await site.leave(page)
    await page.goto('/2026/b')
    await site.settle(page)
    expect(site.beacons()).toEqual([])
    expect(errors).toEqual([])
  })

  test('a value that says nothing counts as nothing', async () => {
    const { page } = await site.reader({ init: `Object.defineProperty(navigator, 'doNotTrack', { value: 'unspecified' })` })
    await page.goto('/2026/a')
    await site.event('view')
  })

  test('by opting out, here and on the next page', async () => {
    const { page } = await site.reader()
    await page.goto('/2026/a')
    await site.event('view')
    await page.evaluate(`passalong('optout')`)
    expect(await address(page)).toBe(`${site.origin}/2026/a`)
    await page.goto(`/2026/b#.${friend}`)
    await site.settle(page)
    expect(await address(page)).toBe(`${site.origin}/2026/b#.${friend}`)
    expect(site.beacons()).toHaveLength(1)
    expect(await page.evaluate(() => Object.keys(localStorage))).toEqual(['passalong'])
  })
})

test('nothing is stored on the device', async () => {
  const { page } = await site.reader()
  await page.goto('/2026/a')
  await site.event('view')
  await page.reload()
  await site.event('view', 1)
  expect(await page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length, window.name])).toEqual(['', 0, 0, ''])
})

test('one global, and history, clipboard and fetch are the browser’s own', async () => {
  const { page } = await site.reader({ init: `window.before = Object.keys(window).sort().join()` })
  await page.goto('/2026/a')
  await site.event('view')
  const added = await page.evaluate(() => {
    const before = (window as any).before.split(',')
    return Object.keys(window).filter((key) => !before.includes(key) && key !== 'before')
  })
  expect(added).toEqual(['passalong'])
  expect(
    await page.evaluate(() =>
      [history.pushState, history.replaceState, fetch, navigator.sendBeacon].every((f) => /\[native code\]/.test(String(f))),
    ),
  ).toBe(true)
  expect(await page.evaluate(() => Object.keys(history))).toEqual([])
})

describe('a page in the way', () => {
  const hostile: [string, string, string | undefined][] = [
    ['replaceState that throws', `History.prototype.replaceState = () => { throw new Error('no') }`, 'failed'],
    ['replaceState that does nothing', `History.prototype.replaceState = () => {}`, 'failed'],
    ['a frozen history', `Object.freeze(history); Object.freeze(History.prototype)`, 'written'],
    ['no crypto', `Object.defineProperty(window, 'crypto', { value: undefined })`, 'written'],
    ['sendBeacon that is gone', `navigator.sendBeacon = undefined`, undefined],
    ['sendBeacon and fetch that throw', `navigator.sendBeacon = fetch = () => { throw new Error('no') }`, undefined],
    ['no localStorage', `Object.defineProperty(window, 'localStorage', { get() { throw new Error('no') } })`, 'written'],
    ['a polluted Object.prototype', `Object.prototype.extra = () => 7; Array.prototype.last = () => 8; Object.prototype.get = () => 9`, 'written'],
  ]

  test.each(hostile)('%s', async (_, init, hash) => {
    const { page, errors } = await site.reader({ init })
    await page.goto('/2026/a')
    if (hash) expect((await site.event('view')).event.hash).toBe(hash)
    else await page.waitForFunction(() => document.readyState === 'complete')
    await page.evaluate(`passalong('link')`)
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve)))
    expect(errors).toEqual([])
  })

  test('a policy without connect-src for the collector: no exception', async () => {
    site.serve('/a', article(), { 'content-security-policy': `default-src 'self'; connect-src 'none'; style-src 'unsafe-inline'` })
    const { page, errors } = await site.reader()
    await page.goto('/a')
    await page.waitForFunction(() => /#\./.test(location.hash))
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 50)))
    // The browser itself says that the policy refused the connection; that is the page's own doing.
    expect(errors.filter((text) => !/Content Security Policy/.test(text))).toEqual([])
    expect(site.beacons()).toEqual([])
  })

  test('a strict policy with the two lines of the reference, and Trusted Types', async () => {
    site.serve('/a', article(), {
      'content-security-policy': `default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:; style-src 'unsafe-inline'; require-trusted-types-for 'script'`,
    })
    const { page, errors } = await site.reader()
    await page.goto('/a')
    await site.event('view')
    expect(errors).toEqual([])
  })

  test('a frame without an address is left alone', async () => {
    site.serve('/a', article({ script: '', body: `<iframe id="f"></iframe>` }))
    const { page, errors } = await site.reader()
    await page.goto('/a')
    await page.evaluate((source) => {
      const frame = document.querySelector<HTMLIFrameElement>('#f')!
      frame.srcdoc = `<script data-site="news.example">${source}</` + 'script>'
      return new Promise((resolve) => (frame.onload = resolve))
    }, script)
    await site.settle(page)
    expect(site.beacons()).toEqual([])
    expect(errors).toEqual([])
  })

  test('a prerendered page waits until it is shown', async () => {
    const { page } = await site.reader({ init: `Object.defineProperty(document, 'prerendering', { value: true })` })
    await page.goto(`/2026/a#.${friend}`)
    await site.settle(page)
    expect(site.beacons()).toEqual([])
    expect(await address(page)).toBe(`${site.origin}/2026/a#.${friend}`)
    await page.evaluate(() => document.dispatchEvent(new Event('prerenderingchange')))
    expect((await site.event('view')).beacon.via).toBe(friend)
  })
})
