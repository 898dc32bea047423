// The page's own place in the fragment.
//
// A browser that opens "#comments.TOKEN" finds no such element. It looks once
// more when the document is parsed, at the address as it is then: a deferred
// script that has put "#comments" back by replaceState is in time for :target
// and scrolling, and no event tells of it. A script that comes later is not:
// from then on only location.replace moves :target (seen in Chromium, Firefox
// and WebKit), with hashchange and, but for Firefox, popstate. A replaceState
// to "#comments.TOKEN" afterwards leaves :target where it is.

/** Whether the fragment names a place in this page: then the browser has found it. */
export const hasTarget = (): unknown => document.querySelector(':target')

/**
 * For a script that came late. It empties history.state, which the next write
 * puts back. A reader who has scrolled meanwhile is not moved.
 */
export const aim = (): void => {
  if (!hasTarget() && !scrollY) location.replace(location.href)
}
