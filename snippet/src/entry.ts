// Wires the parts. The order is the life of a page: shown, parsed (the arrived
// token is read and taken away), loaded (the own token is written, the view is
// told), hidden (everything else is told).

import { write, type Hash } from './address'
import { aim } from './anchor'
import { joinCohort } from './cohort'
import type { Passalong } from './commands'
import { read } from './copy'
import { tick, watchScroll } from './engage'
import { excluded } from './exclude'
import { tokened, tokenIn } from './fragment'
import { on } from './listen'
import { watchMoves } from './moves'
import { declined, optOut } from './privacy'
import { loaded, parsed, shown } from './ready'
import { cameBack } from './return'
import { data, strict } from './settings'
import { mint, minutesOf } from './token'
import { begin, birth, flush, noteCopy, say, seq, tell } from './view'

const auto = data.auto !== 'off'
const own: string[] = []
let allowed: unknown
let place: string

/** The address gets the view's token, or loses the one it came with. */
const settle = (state?: unknown): Hash =>
  write(data.hash === 'off' ? 'off' : excluded(location.pathname, data.exclude) && 'excluded', birth.view, state)

const tellNow = (state?: unknown) => {
  if (!seq && birth.view) tell(settle(state))
}

/** The view at hand ends, or may end: a page that is hidden is not always shown again. */
const leave = () => {
  // Not told yet, before load: now or never.
  tellNow()
  flush(true)
}

const open = (page?: string, back?: boolean): void => {
  if (!allowed) return
  const arrived = tokenIn()
  const { view: before, page: referrer } = birth
  leave()
  // A second view at the same address did not come by the first one's token.
  const via = before === arrived ? '' : arrived
  const returned = back || own.includes(via) || (!before && cameBack())
  const url = (page || tokened(location.href)).slice(0, 2048)
  const view = strict ? joinCohort(data.site!, url, via, minutesOf(), returned) : mint()
  own.push(view)
  place = location.pathname
  begin({
    site: data.site,
    privacy: data.privacy || 'full',
    page: url,
    view,
    via,
    referrer: referrer || document.referrer,
    return: returned,
    visitor: birth.visitor,
  })
  // Page scripts and the browser then find the fragment they know.
  if (arrived) write('off')
  loaded(() => {
    const { state } = history
    if (arrived && /#/.test(url)) aim()
    tellNow(state)
  })
}

// The types a page sees are in commands.ts; here anything may come in.
const command = (name: string, options: any = {}): string => {
  const { view } = birth
  const url = new URL(options.url || options.page || birth.page || location.href, location.href).href
  let token: string | undefined
  if (name === 'view') {
    open(options.page && url)
  } else if (name === 'consent') {
    birth.visitor = options.visitor && '' + options.visitor
    allowed = !declined()
    if (view) flush()
    else if (auto) open()
  } else if (name === 'optout') {
    optOut()
    if (view) write('off')
    allowed = false
    begin({})
  } else if (name === 'link') {
    token = view
  } else if (view) {
    if (name === 'share') token = strict ? view : (options.outcome && tokenIn(url)) || mint()
    tellNow()
    say({ ...options, url: '', type: name, token })
  }
  return tokened(url, token)
}

const moved = (back?: boolean) => {
  const token = tokenIn()
  const away = location.pathname !== place
  if (away || (token && !own.includes(token))) {
    if (auto) open('', back && away)
  } else if (seq) settle()
}

const start = (calls: ArrayLike<unknown>[]): void => {
  allowed = data.privacy !== 'consent' && !declined()
  ;(window.passalong = command as Passalong).on = true
  on('visibilitychange', () => (document.hidden ? leave() : tick()))
  on('pagehide', leave)
  on('copy', (event) => {
    if (birth.view) noteCopy(read(event, !strict && 'quotes' in data))
  })
  watchScroll()
  watchMoves(moved)
  if (auto) open()
  calls.forEach((call) => command(...(call as unknown as [string])))
}

// No host: about:srcdoc, or a file.
if (data.site && location.host) {
  shown(() =>
    parsed(() => {
      const { on, q = [] } = (window.passalong || {}) as Partial<Passalong>
      // Loaded twice: nothing to do.
      if (!on) start(q)
    }),
  )
}
