// How long the view was seen and how far it was scrolled. Only the scroll
// position is read while scrolling; what needs a layout is read on leaving.

import { on } from './listen'

export let visible: number
let deepest: number
let since: number // 0 while hidden

/** Called whenever the page is shown or hidden, and before a total. On leaving it is gone before it is hidden. */
export const tick = (gone?: boolean): void => {
  const now = performance.now() // stands still while a laptop sleeps, unlike Date.now()
  if (since) visible += now - since
  since = gone || document.hidden ? 0 : now
}

/** A new view begins. */
export const engage = (): void => {
  visible = deepest = since = 0
  tick()
}

export const watchScroll = (): void => on('scroll', () => (deepest = Math.max(deepest, scrollY)))

/** Totals of the view so far. */
export const total = () => ({
  type: 'engage',
  visible: visible | 0,
  // A document without a height gives NaN, and 0.
  scroll: Math.min(((deepest + innerHeight) / document.documentElement.scrollHeight) * 100, 100) | 0,
})
