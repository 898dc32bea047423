// Moves inside a single-page application, seen from outside: nothing of the
// page's history is patched. The Navigation API tells of every change of entry
// (Chrome 102, Safari 26.2, Firefox 147); elsewhere the address is looked at
// once a second.

import { on } from './listen'

/** Calls check some time after the address may have changed, with true when by back or forward. */
export const watchMoves = (check: (back?: boolean) => void): void => {
  // Before the next, which the same move sets off too.
  on('popstate', () => setTimeout(check, 200, true))
  // Routers write several times in a row and set the title last. A guess, the same as Umami's.
  if (window.navigation) navigation.addEventListener('currententrychange', () => setTimeout(check, 300))
  else setInterval(check, 1000)
}
