// A small site and its collector on one port, and a browser to visit it.

import { readFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject } from 'vitest'
import { breaches, type Beacon, type Event } from './contract'

export const script = readFileSync(new URL('../../dist/passalong.js', import.meta.url), 'utf8')

export interface Served {
  html: string
  headers?: Record<string, string>
}

export interface Request {
  method: string
  path: string
  headers: IncomingHttpHeaders
  beacon: Beacon
}

const paragraph = 'The wind turned at noon, and with it the fleet. Nobody on the quay had seen it before. '

export interface Article {
  attributes?: string
  head?: string
  body?: string
  script?: string
}

/** A page with the snippet. Attributes go to its script element; head and body are added to; script takes its place. */
export const article = ({
  attributes = '',
  head = '',
  body = '',
  script = `<script defer src="/passalong.js" data-site="news.example" ${attributes}></script>`,
}: Article = {}): string => `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The wind turned</title>
<link rel="icon" href="data:,">${head}${script}
<style>:target { color: rgb(1, 2, 3) } p { margin: 40px 0 }</style></head><body>
<h1>The wind turned</h1>${body}
${`<p>${paragraph}</p>`.repeat(40)}
<h2 id="comments">Comments</h2><p id="last">${paragraph}</p>
${`<p>${paragraph}</p>`.repeat(40)}
</body></html>`

/** Starts both for a test file. Call it once, at the top. */
export const visit = () => {
  let browser: Browser
  let common: BrowserContext
  let server: Server
  let origin = ''
  let pages: Record<string, Served> = {}
  let requests: Request[] = []
  let marks: string[] = []
  let wake = () => {}

  const open = () => createServer((request, response) => {
    const { pathname: path } = new URL(request.url!, 'http://x')
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      if (path === '/mark') marks.push(body)
      if (request.method === 'POST') {
        response.writeHead(204, { 'access-control-allow-origin': '*' }).end()
        if (path !== '/mark') requests.push({ method: request.method, path, headers: request.headers, beacon: JSON.parse(body) })
        return wake()
      }
      if (path === '/passalong.js') {
        return response.writeHead(200, { 'content-type': 'text/javascript', 'cache-control': 'no-store' }).end(script)
      }
      const page = pages[path] ?? { html: article() }
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...page.headers }).end(page.html)
    })
  })

  beforeAll(async () => {
    browser = await chromium.connect(inject('chromium'))
    common = await browser.newContext()
  })
  afterAll(() => browser.close())

  // A port for each test: what a closed page still sends reaches no other test.
  beforeEach(async () => {
    pages = {}
    requests = []
    marks = []
    server = open()
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
    origin = `http://localhost:${(server.address() as AddressInfo).port}`
  })

  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => (context === common ? undefined : context.close())))
    await Promise.all(common.pages().map((page) => page.close()))
    server.closeAllConnections()
    server.close()
    expect(requests.flatMap(({ beacon }) => breaches(beacon))).toEqual([])
  })

  /** Resolves when something that arrived makes ask true; fails naming what did arrive. */
  const until = async <T>(ask: () => T | undefined | false): Promise<T> => {
    const end = Date.now() + 5000
    for (;;) {
      const got = ask()
      if (got) return got
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`waited 5 s; arrived: ${JSON.stringify(requests.map((r) => r.beacon), null, 1)}`)),
          end - Date.now(),
        )
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  const all = (type: string) =>
    requests.flatMap(({ beacon }) => beacon.events.filter((event) => event.type === type).map((event) => ({ beacon, event })))

  return {
    get origin() {
      return origin
    },
    get requests() {
      return requests
    },
    beacons: () => requests.map((request) => request.beacon),
    serve: (path: string, html: string, headers?: Record<string, string>) => {
      pages[path] = { html, headers }
    },
    /** All events of a type that arrived so far. */
    events: (type: string): Event[] => all(type).map(({ event }) => event),
    /** The nth event of a type, when it has arrived, with the beacon that brought it. */
    event: (type: string, n = 0) => until(() => all(type)[n]),
    until,

    /**
     * A reader, and what their console says. The snippet stores nothing, so a
     * page of its own makes a reader; a profile is made only for options.
     */
    reader: async ({ init, ...options }: BrowserContextOptions & { init?: string } = {}): Promise<{ page: Page; errors: string[] }> => {
      const context = Object.keys(options).length ? await browser.newContext(options) : common
      const page = await context.newPage()
      if (init) await page.addInitScript(init)
      // Addresses are those of this test's port.
      const goto = page.goto.bind(page)
      page.goto = (url, options) => goto(new URL(url, origin).href, options)
      const errors: string[] = []
      page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
      page.on('pageerror', (error) => errors.push(String(error)))
      return { page, errors }
    },

    /** Lets a page do all it is about to do, for tests that nothing arrives. */
    settle: async (page: Page): Promise<void> => {
      const mark = String(Math.random())
      await page.evaluate(
        (mark) =>
          new Promise<void>((resolve) => {
            const end = () =>
              setTimeout(() => {
                navigator.sendBeacon('/mark', mark)
                resolve()
              }, 50)
            if (document.readyState === 'complete') end()
            else addEventListener('load', end)
          }),
        mark,
      )
      await until(() => marks.includes(mark))
    },

    /** Leaves the page the way a reader does; beacons on hide are on their way then. */
    leave: async (page: Page): Promise<void> => {
      await page.goto('about:blank')
    },
  }
}

/** The token in a page's address, '' where there is none. */
export const tokenIn = (url: string): string => /\.([0-9A-Za-z]{11})$/.exec(new URL(url).hash)?.[1] ?? ''

/** The address as the page has it; page.url() may lag behind. */
export const address = (page: Page): Promise<string> => page.evaluate(() => location.href)
