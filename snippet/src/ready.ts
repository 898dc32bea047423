// The moments to wait for.

import { on } from './listen'

const when = (now: boolean, type: string, run: () => void) => (now ? run() : on(type, run))

/** When somebody looks at the page: a prerendered one may never be seen (Chromium only). */
export const shown = (run: () => void): void => when(!document.prerendering, 'prerenderingchange', run)

/** When the elements are there. A deferred script comes at that moment; one in the head does not. */
export const parsed = (run: () => void): void => when(document.readyState !== 'loading', 'DOMContentLoaded', run)

/** After load, in a task of its own, so that the page's own load listeners come first. */
export const loaded = (run: () => void): void =>
  when(document.readyState === 'complete', 'load', () => setTimeout(run))
