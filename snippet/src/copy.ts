// What a reader copies: its kind and its size. The text itself goes no further
// unless the site asked for quotes, and never out of a field the reader typed
// in. The clipboard is neither read nor changed.

import { kindOf, type Kind } from './kind'

const inPage = (selection: Selection, text: string): Kind | false => {
  if (!text) return [...document.images].some((image) => selection.containsNode(image)) && 'image'
  // Where the reader began: a triple click ends in the next block.
  const node = selection.anchorNode as Element
  const element = node.closest! ? node : node.parentElement!
  // The whole of a link, not a word of it: then what is pasted is the link.
  const link = element.closest<HTMLAnchorElement>('a[href]')
  return element.closest('pre,code') ? 'code' : kindOf(link && link.textContent!.trim() === text ? link.href : text)
}

/** The copy that an event tells of; false when nothing was selected. */
export const read = (event: Event, quotes: unknown) => {
  const selection = getSelection()!
  // Of a field's own selection Firefox says nothing here: such a copy is not counted there.
  const text = ('' + selection).trim()
  const what = inPage(selection, text)
  return (
    what && {
      type: 'copy',
      age: performance.now(),
      what,
      chars: text.length,
      words: text && text.split(/\s+/).length,
      quote: quotes && what === 'text' && !(event.target as HTMLInputElement).selectionEnd && text.slice(0, 300),
    }
  )
}
