// The token in the address: taken away on arrival, written after load.

import { hasTarget } from './anchor'
import { tokened, tokenIn } from './fragment'

/** What became of the token in the address. */
export type Hash = 'written' | 'failed' | 'excluded' | 'refused' | 'off'

/**
 * Writes token behind the page's own anchor, or, with a reason to keep it out,
 * only takes away what is there. The entry and its state stay. The method is
 * taken from the prototype: trackers and routers that watch history put their
 * own function on the history object itself, and none of this is a page view.
 *
 * Refused: the fragment is a route or a value, or names nothing in this page, so
 * something other than the browser may be reading it.
 */
export const write = (kept: Hash | false, token?: string, state: unknown = history.state): Hash => {
  const bare = tokened(location.href)
  const url = !kept && (!/#/.test(bare) || hasTarget()) ? tokened(bare, token) : bare
  try {
    if (location.href !== url) History.prototype.replaceState.call(history, state, '', url)
  } catch {
    // Frozen by the page, or WebKit's limit of 100 writes in 10 s.
  }
  // Chromium ignores the 201st write in a row without a word: only the address itself says what it shows.
  return kept || (location.href !== url ? 'failed' : tokenIn(url) ? 'written' : 'refused')
}
