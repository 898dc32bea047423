// What a page says of itself and a browser of its reader. Nothing here makes
// the browser compute a layout: screen.width, not innerWidth. The collector
// cuts what is long.

const find = (selector: string) => (document.querySelector(selector) || {}) as HTMLMetaElement & HTMLLinkElement

export const canonical = () => find('link[rel=canonical]')

/** <meta name="author"> or <meta property="article:author">. */
const meta = (name: string): string | undefined => find(`meta[name=${name}],meta[property$=${name}]`).content

export const about = () => ({
  title: document.title,
  language: navigator.language,
  zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  width: screen.width,
  canonical: canonical().href,
  author: meta('author'),
  section: meta('section'),
  // Of no date JSON makes null.
  published: new Date(meta('published_time')!),
})
