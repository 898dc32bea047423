// Where a token stands in an address: at the end of the fragment, after a dot,
// behind the page's own anchor if it has one.

import { checks } from './token'

/** The token in an address (the page's own), '' for none. */
export const tokenIn = (url = location.href): string => {
  const [, token = ''] = /#.*\.(\w{11})$/.exec(url) || []
  return checks(token) ? token : ''
}

/**
 * The address with this token instead of any other, or with none. A fragment
 * that is more than the name of a place in the page takes none: a route (#/news,
 * #!news, #help/7) or a value (#access_token=…, #Echobox=…). Something reads
 * those, and would read a token as a part of them.
 */
export const tokened = (url: string, token?: string): string => {
  const bare = (tokenIn(url) ? url.slice(0, -12) : url).replace(/#$/, '')
  return !token || /#(!|.*[/=&?])/.test(bare) ? bare : bare + (/#/.test(bare) ? '.' : '#.') + token
}
