// The page view at hand, and the beacons that tell of it. The first goes right
// after load with the `view`, the next when the page is hidden, with everything
// gathered meanwhile. There is one view at a time; the next one begins when
// this one has been told.

import { about } from './about'
import { post } from './beacon'
import { engage, tick, total, visible } from './engage'
import { app } from './hint'

/** An event as the collector takes it, without its age. */
export interface Told {
  type: string
  /** Of a copy that waits: when it was. */
  age?: number
  [field: string]: unknown
}

/** The beacon's fields that a view is born with. */
export interface Birth {
  site?: string
  privacy?: string
  page?: string
  view?: string
  via?: string
  referrer?: string
  return?: boolean
  visitor?: string
}

/** Without `view` there is none: not yet, or not any more. */
export let birth: Birth = {}
let copies: Told[]
/** How many beacons there were; the first tells the view. */
export let seq = 0
let toldVisible: number

/** One beacon, with what was copied since the last. */
const send = (event: Told): void => {
  post({
    ...birth,
    seq: seq++,
    app: app(),
    events: [{ ...event, age: 0 }, ...copies.map((copy) => ({ ...copy, age: (performance.now() - copy.age!) | 0 }))],
  })
  copies = []
}

/** A new view; {} for none. */
export const begin = (next: Birth): void => {
  birth = next
  copies = []
  seq = toldVisible = 0
  engage()
}

/** The view itself. Hash is what became of its token. */
export const tell = (hash: string): void => {
  birth = { ...birth, ...about() }
  send({ type: 'view', hash })
}

/** Everything so far; nothing before the view is told, nor when the page was not seen since the last time. */
export const flush = (gone?: boolean): void => {
  tick(gone)
  if (seq && visible > toldVisible) {
    toldVisible = visible
    send(total())
  }
}

/** What the page itself has to say goes alone: one that the collector refuses takes nothing else with it. */
export const say = (event: Told): void => {
  flush()
  send(event)
}

/** More than 60 between two beacons are a machine's (a guess); the collector takes 64 events a beacon. */
export const noteCopy = (event: Told | false | undefined): void => {
  if (event && copies.length < 60) copies.push(event)
}
