// passalong(command, options), as a page calls it.

export interface Commands {
  /** Counts a view: by hand with data-auto="off", or of a part that has an address of its own. */
  view: { page?: string }
  /**
   * The address to hand on, with a token of its own. To say later what came of
   * it, call again with that address as url and the outcome.
   */
  share: { channel: string; url?: string; outcome?: 'offered' | 'done' | 'cancelled' }
  /** The page's address with the view's token. */
  link: undefined
  convert: { name: string; value?: number; currency?: string; order?: string }
  /** The reader agreed; visitor is the site's own id for them. */
  consent: { visitor?: string | number }
  /** The reader wants none of this, here and on later pages. */
  optout: undefined
  ask: undefined
  answer: { source: string; channel?: string; mood?: -1 | 0 | 1; text?: string }
}

export interface Passalong {
  (command: 'share', options: Commands['share']): string
  (command: 'link'): string
  <Name extends Exclude<keyof Commands, 'share' | 'link'>>(command: Name, options?: Commands[Name]): void
  /** Calls made before the script was there. */
  q?: ArrayLike<unknown>[]
  /** The script is there. */
  on?: true
}
