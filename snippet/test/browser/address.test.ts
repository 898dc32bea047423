// The token in the address: written, taken away, replaced, and noticed by nothing.

import { describe, expect, test } from 'vitest'
import { checks } from '../../src/token'
import { address, article, tokenIn, visit } from './site'

const site = visit()
const friend = '1eSohP9aQz3'

/** A script that a tag manager puts in after load. */
const late = `<script>addEventListener('load', () => {
  const script = document.createElement('script')
  script.src = '/passalong.js'
  script.dataset.site = 'news.example'
  document.head.append(script)
})</script>`

describe('on load', () => {
  test('the token of the view is written behind a dot', async () => {
    const { page, errors } = await site.reader()
    await page.goto('/2026/a?x=1')
    const { beacon, event } = await site.event('view')
    expect(await address(page)).toBe(`${site.origin}/2026/a?x=1#.${beacon.view}`)
    expect(checks(beacon.view)).toBe(true)
    expect(event.hash).toBe('written')
    expect(beacon).toMatchObject({ site: 'news.example', privacy: 'full', seq: 0, page: `${site.origin}/2026/a?x=1` })
    expect(beacon.via).toBeUndefined()
    expect(beacon.return).toBeUndefined()
    expect(errors).toEqual([])
  })

  test('two readers have two tokens', async () => {
    for (const _ of [1, 2]) await (await site.reader()).page.goto('/2026/a')
    const first = await site.event('view', 0)
    const second = await site.event('view', 1)
    expect(first.beacon.view).not.toBe(second.beacon.view)
  })

  test('it comes after the load listeners of the page', async () => {
    site.serve('/a', article({ head: `<script>addEventListener('load', () => { window.seen = location.hash })</script>` }))
    const { page } = await site.reader()
    await page.goto('/a')
    await site.event('view')
    expect(await page.evaluate('seen')).toBe('')
  })

  test('history has no new entry, its state is the same object by value', async () => {
    site.serve('/a', article({ head: `<script>history.replaceState({ key: 'k1', deep: [1] }, '')</script>` }))
    const { page } = await site.reader()
    await page.goto('about:blank')
    const before = await page.evaluate('history.length')
    await page.goto('/a')
    await site.event('view')
    expect(await page.evaluate('history.length')).toBe((before as number) + 1)
    expect(await page.evaluate('history.state')).toEqual({ key: 'k1', deep: [1] })
  })

  test('with <base href> the address stays the own one', async () => {
    site.serve('/deep/a', article({ head: '<base href="/elsewhere/">' }))
    const { page } = await site.reader()
    await page.goto('/deep/a')
    const { beacon } = await site.event('view')
    expect(await address(page)).toBe(`${site.origin}/deep/a#.${beacon.view}`)
  })
})

describe('on arrival', () => {
  test('another reader’s token is told as via and replaced by the own one', async () => {
    const { page } = await site.reader()
    await page.goto(`/2026/a#.${friend}`)
    const { beacon } = await site.event('view')
    expect(beacon.via).toBe(friend)
    expect(beacon.view).not.toBe(friend)
    expect(beacon.page).toBe(`${site.origin}/2026/a`)
    expect(await address(page)).toBe(`${site.origin}/2026/a#.${beacon.view}`)
  })

  test('page scripts never see it', async () => {
    site.serve(
      '/a',
      article({ head: `<script>document.addEventListener('DOMContentLoaded', () => { window.seen = location.hash })</script>` }),
    )
    const { page } = await site.reader()
    await page.goto(`/a#comments.${friend}`)
    await site.event('view')
    expect(await page.evaluate('seen')).toBe('#comments')
  })

  test('a mistyped token is the page’s own fragment', async () => {
    const { page } = await site.reader()
    await page.goto('/2026/a#.1eSohP9aQz4')
    const { beacon, event } = await site.event('view')
    expect(beacon.via).toBeUndefined()
    expect(event.hash).toBe('refused')
    expect(await address(page)).toBe(`${site.origin}/2026/a#.1eSohP9aQz4`)
  })

  test('three readers, one after the other', async () => {
    const chain: string[] = []
    let url = '/2026/a'
    for (let i = 0; i < 3; i++) {
      const { page } = await site.reader()
      await page.goto(url)
      const { beacon } = await site.event('view', i)
      expect(beacon.via).toBe(chain[i - 1])
      chain.push(beacon.view)
      url = await address(page)
    }
  })
})

describe('an anchor', () => {
  const target = () => document.querySelector(':target')?.id ?? ''
  const place = () => Math.abs(document.getElementById('comments')!.getBoundingClientRect().top) < 2

  test('is kept, is the target and is scrolled to', async () => {
    const { page, errors } = await site.reader()
    await page.goto('/2026/a#comments')
    const { beacon, event } = await site.event('view')
    expect(await address(page)).toBe(`${site.origin}/2026/a#comments.${beacon.view}`)
    expect(event.hash).toBe('written')
    expect(beacon.page).toBe(`${site.origin}/2026/a#comments`)
    expect(await page.evaluate(target)).toBe('comments')
    expect(await page.evaluate(place)).toBe(true)
    expect(errors).toEqual([])
  })

  test('works behind another reader’s token', async () => {
    const { page } = await site.reader()
    await page.goto(`/2026/a#comments.${friend}`)
    const { beacon } = await site.event('view')
    expect(beacon.via).toBe(friend)
    expect(await address(page)).toBe(`${site.origin}/2026/a#comments.${beacon.view}`)
    expect(await page.evaluate(target)).toBe('comments')
    expect(await page.evaluate(() => getComputedStyle(document.getElementById('comments')!).color)).toBe('rgb(1, 2, 3)')
    expect(await page.evaluate(place)).toBe(true)
  })

  const listening = `<script>
    window.heard = []
    for (const name of ['popstate', 'hashchange']) addEventListener(name, () => heard.push(name))
    history.replaceState({ key: 7 }, '')
  </script>`

  test('behind a token is found without an event, an entry or a lost state', async () => {
    site.serve('/a', article({ head: listening }))
    const { page } = await site.reader()
    await page.goto('about:blank')
    const before = (await page.evaluate('history.length')) as number
    await page.goto(`/a#comments.${friend}`)
    await site.event('view')
    await site.settle(page)
    expect(await page.evaluate(target)).toBe('comments')
    expect(await page.evaluate('heard')).toEqual([])
    expect(await page.evaluate('history.state')).toEqual({ key: 7 })
    expect(await page.evaluate('history.length')).toBe(before + 1)
  })

  test('behind a token is found also by a script that comes late', async () => {
    site.serve('/a', article({ head: listening, script: late }))
    const { page } = await site.reader()
    await page.goto('about:blank')
    const before = (await page.evaluate('history.length')) as number
    await page.goto(`/a#comments.${friend}`)
    const { beacon } = await site.event('view')
    expect(await address(page)).toBe(`${site.origin}/a#comments.${beacon.view}`)
    expect(await page.evaluate(target)).toBe('comments')
    expect(await page.evaluate(place)).toBe(true)
    expect(await page.evaluate('history.state')).toEqual({ key: 7 })
    expect(await page.evaluate('history.length')).toBe(before + 1)
  })

  test('behind a token is found by a script in the head that is not deferred', async () => {
    site.serve('/a', article({ head: '<script src="/passalong.js" data-site="news.example"></script>', script: '' }))
    const { page } = await site.reader()
    await page.goto(`/a#comments.${friend}`)
    const { beacon } = await site.event('view')
    expect(beacon.via).toBe(friend)
    expect(await address(page)).toBe(`${site.origin}/a#comments.${beacon.view}`)
    expect(await page.evaluate(target)).toBe('comments')
  })

  test('clicked later keeps the view’s token in the address, and the target', async () => {
    site.serve('/a', article({ body: '<a href="#comments" id="to">to the comments</a>' }))
    const { page } = await site.reader()
    await page.goto('/a')
    const { beacon } = await site.event('view')
    await page.click('#to')
    await page.waitForFunction((end) => location.hash === end, `#comments.${beacon.view}`)
    expect(await page.evaluate(target)).toBe('comments')
    expect(site.events('view')).toHaveLength(1)
    await page.goBack()
    expect(await address(page)).toBe(`${site.origin}/a#.${beacon.view}`)
  })

  test('with a letter beyond ASCII works behind a token', async () => {
    site.serve('/a', article({ body: '<div style="height:3000px"></div><h2 id="été">été</h2>' }))
    const { page } = await site.reader()
    await page.goto(`/a#%C3%A9t%C3%A9.${friend}`)
    const { beacon } = await site.event('view')
    expect(await address(page)).toBe(`${site.origin}/a#%C3%A9t%C3%A9.${beacon.view}`)
    expect(await page.evaluate(target)).toBe('été')
  })

  test('does not move a reader who has scrolled before the script came', async () => {
    site.serve('/a', article({ script: `<script>addEventListener('load', () => scrollTo(0, 200))</script>${late}` }))
    const { page } = await site.reader()
    await page.goto(`/a#comments.${friend}`)
    await site.event('view')
    expect(await page.evaluate('scrollY')).toBe(200)
  })
})

describe('left alone', () => {
  test.each([
    ['a hash route', '#/news/42', 'refused'],
    ['a hash-bang route', '#!news', 'refused'],
    ['a value', '#access_token=x&state=y', 'refused'],
    ['a name that is no element', '#tab-2', 'refused'],
  ])('%s', async (_, hash, told) => {
    const { page } = await site.reader()
    await page.goto('/2026/a' + hash)
    expect((await site.event('view')).event.hash).toBe(told)
    expect(await address(page)).toBe(`${site.origin}/2026/a${hash}`)
  })

  test('a text fragment still finds its passage, and leaves no trace in the token', async () => {
    site.serve('/a', article({ body: '<div style="height:4000px"></div><p id="passage">a singular passage</p>' }))
    const { page } = await site.reader()
    await page.goto('/a#:~:text=singular%20passage')
    const { beacon } = await site.event('view')
    expect(tokenIn(await address(page))).toBe(beacon.view)
    expect(beacon.page).toBe(`${site.origin}/a`)
    await page.waitForFunction(() => scrollY > 1000)
  })
})

describe('excluded', () => {
  test('the front page gets no token, by default', async () => {
    const { page } = await site.reader()
    await page.goto('/')
    expect((await site.event('view')).event.hash).toBe('excluded')
    expect(await address(page)).toBe(`${site.origin}/`)
  })

  test('but reads and removes the one it was opened with', async () => {
    const { page } = await site.reader()
    await page.goto(`/#.${friend}`)
    const { beacon } = await site.event('view')
    expect(beacon.via).toBe(friend)
    expect(await address(page)).toBe(`${site.origin}/`)
  })

  test('patterns replace the default', async () => {
    for (const path of ['/', '/account/orders']) site.serve(path, article({ attributes: 'data-exclude="/account/*"' }))
    const { page } = await site.reader()
    await page.goto('/account/orders')
    expect((await site.event('view', 0)).event.hash).toBe('excluded')
    await page.goto('/')
    expect((await site.event('view', 1)).event.hash).toBe('written')
  })

  test('data-hash="off" writes none and still reads one', async () => {
    site.serve('/a', article({ attributes: 'data-hash="off"' }))
    const { page } = await site.reader()
    await page.goto(`/a#.${friend}`)
    const { beacon, event } = await site.event('view')
    expect(event.hash).toBe('off')
    expect(beacon.via).toBe(friend)
    expect(await address(page)).toBe(`${site.origin}/a`)
  })
})
