// What a copied text is, by its form. Where it stood in the page is copy.ts's
// to say.

export type Kind = 'link' | 'text' | 'image' | 'code' | 'email' | 'phone'

/** Text is trimmed; it may be the address a link leads to. */
export const kindOf = (text: string): Kind =>
  /^(https?:|www\.)\S+$/.test(text)
    ? 'link'
    : /^\w\S*@\S+$/.test(text)
      ? 'email'
      : // +33 1 23 45 67 89, 0033…, 01 23 45 67 89, (555) 123-4567, 555-123-4567;
        // no plain number, no 01.10.2026.
        /^(tel:|\+|0\d[\d ]|\(\d+\)|\d{3}-\d{3}-)[\d ()+.-]{4,}$/.test(text)
        ? 'phone'
        : 'text'
