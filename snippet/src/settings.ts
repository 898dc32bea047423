// The attributes of the script element. In a module there is none, and nothing starts.

const script = document.currentScript as HTMLScriptElement | null

export const data: DOMStringMap = (script || ({} as HTMLElement)).dataset || {}

export const strict = data.privacy === 'strict'

/** "e" beside the script, whatever name the script has. */
export const endpoint = (): string => data.endpoint || new URL('e', script!.src).href
