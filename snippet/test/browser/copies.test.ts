// What a reader copies with the keyboard, told by kind; and that the clipboard
// holds what they copied and nothing else.

import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { article, visit } from './site'

const site = visit()

const body = `
<p id="text">Nobody on the quay had seen it before.</p>
<p><a id="link" href="/2026/b">The wind has turned again</a></p>
<p id="url">https://news.example/2026/a</p>
<p><a id="mail" href="mailto:desk@news.example">Write to the desk</a> <span id="address">desk@news.example</span></p>
<p><a id="tel" href="tel:+33123456789">Call the desk</a> <span id="number">+33 1 23 45 67 89</span></p>
<pre id="code"><code>go test ./...</code></pre>
<p id="picture"><img alt="" width="40" height="40" src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"></p>
<p><input id="box" value="https://news.example/2026/a"> <textarea id="field">my own secret words</textarea></p>`

const copy = async (page: Page, selector: string) => {
  await page.evaluate((selector) => {
    const element = document.querySelector(selector)!
    if (element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement) {
      element.focus()
      element.select()
    } else getSelection()!.selectAllChildren(element)
  }, selector)
  await page.keyboard.press('Control+c')
}

const open = async (attributes = '') => {
  site.serve('/a', article({ body, attributes }))
  const { page, errors } = await site.reader()
  await page.goto('/a')
  await site.event('view')
  return { page, errors }
}

describe('kinds', () => {
  test('one of each, in the beacon on leaving', async () => {
    const { page, errors } = await open()
    const copied = ['text', 'link', 'url', 'mail', 'address', 'tel', 'number', 'code', 'picture', 'box']
    for (const id of copied) await copy(page, `#${id}`)
    await site.leave(page)
    const { beacon } = await site.event('engage')
    const copies = beacon.events.filter(({ type }) => type === 'copy')
    expect(copies.map(({ what }, i) => `${copied[i]}: ${what}`)).toEqual([
      'text: text',
      'link: link',
      'url: link',
      'mail: email',
      'address: email',
      'tel: phone',
      'number: phone',
      'code: code',
      'picture: image',
      'box: link',
    ])
    expect(copies[0]).toMatchObject({ chars: 38, words: 8 })
    expect(copies[8]!.chars).toBe(0)
    expect(beacon.seq).toBe(1)
    expect(JSON.stringify(beacon)).not.toContain('quay')
    expect(errors).toEqual([])
  })

  test('a part of a link is text', async () => {
    const { page } = await open()
    await page.evaluate(() => getSelection()!.setBaseAndExtent(document.querySelector('#link')!.firstChild!, 0, document.querySelector('#link')!.firstChild!, 8))
    await page.keyboard.press('Control+c')
    await site.leave(page)
    const { beacon } = await site.event('copy')
    expect(beacon.events.find(({ type }) => type === 'copy')).toMatchObject({ what: 'text', chars: 8, words: 2 })
  })

  test('nothing selected is no copy', async () => {
    const { page } = await open()
    await page.evaluate(() => getSelection()!.removeAllRanges())
    await page.keyboard.press('Control+c')
    await site.leave(page)
    expect((await site.event('engage')).beacon.events.map(({ type }) => type)).toEqual(['engage'])
  })

  test('a page that stops the event does not hide the copy', async () => {
    site.serve('/a', article({ body, head: `<script>document.addEventListener('copy', (e) => e.stopImmediatePropagation(), true)</script>` }))
    const { page } = await site.reader()
    await page.goto('/a')
    await site.event('view')
    await copy(page, '#text')
    await site.leave(page)
    expect((await site.event('copy')).event.what).toBe('text')
  })
})

describe('the words', () => {
  test('stay in the page without data-quotes, and go with it', async () => {
    const { page } = await open('data-quotes')
    await copy(page, '#text')
    await copy(page, '#address')
    await copy(page, '#field')
    await site.leave(page)
    const { beacon } = await site.event('engage')
    const copies = beacon.events.filter(({ type }) => type === 'copy')
    expect(copies[0]!.quote).toBe('Nobody on the quay had seen it before.')
    // No address of a person, and nothing the reader typed.
    expect(copies[1]).not.toHaveProperty('quote')
    expect(copies[2]).toMatchObject({ what: 'text', words: 4 })
    expect(copies[2]).not.toHaveProperty('quote')
  })

  test('are at most 300 characters', async () => {
    const { page } = await open('data-quotes')
    await page.keyboard.press('Control+a')
    await page.keyboard.press('Control+c')
    await site.leave(page)
    const { event } = await site.event('copy')
    expect((event.quote as string).length).toBe(300)
    expect(event.chars).toBeGreaterThan(300)
  })

  test('in the clipboard are the reader’s own, unchanged', async () => {
    const { page } = await open()
    await copy(page, '#text')
    await page.focus('#field')
    await page.keyboard.press('Control+a')
    await page.keyboard.press('Control+v')
    expect(await page.inputValue('#field')).toBe('Nobody on the quay had seen it before.')
  })
})

test('ten thousand copies are one beacon, and quick', async () => {
  const { page, errors } = await open()
  const took = await page.evaluate(() => {
    getSelection()!.selectAllChildren(document.querySelector('#text')!)
    const begin = performance.now()
    for (let i = 0; i < 10_000; i++) document.dispatchEvent(new ClipboardEvent('copy', { bubbles: true }))
    return performance.now() - begin
  })
  await site.leave(page)
  const { beacon } = await site.event('engage')
  expect(beacon.events.length).toBeLessThanOrEqual(64)
  expect(site.beacons()).toHaveLength(2)
  expect(took).toBeLessThan(5000)
  expect(errors).toEqual([])
})
