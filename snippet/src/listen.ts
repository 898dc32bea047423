/**
 * Listens on the window in the capture phase, which every event of the document
 * passes, bubbling or not, before a page's own listener can stop it.
 */
export const on = (type: string, run: (event: Event) => void): void => addEventListener(type, run, true)
