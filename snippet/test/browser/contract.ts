// What a beacon may look like: section 4 of the contract, held against every
// beacon that a test records.

import { checks } from '../../src/token'

export interface Event {
  type: string
  age: number
  [field: string]: unknown
}

export interface Beacon {
  site: string
  privacy: string
  page: string
  view: string
  seq: number
  via?: string
  referrer?: string
  return?: true
  app?: string
  title?: string
  language?: string
  zone?: string
  width?: number
  canonical?: string
  author?: string
  section?: string
  published?: string
  visitor?: string
  events: Event[]
}

const valid = (token: string) => /^[0-9A-Za-z]{11}$/.test(token) && checks(token)

type Rule = (value: any) => boolean

const text: Rule = (v) => typeof v === 'string' && v !== ''
const whole: Rule = (v) => Number.isInteger(v) && v >= 0
const oneOf =
  (...values: unknown[]): Rule =>
  (v) =>
    values.includes(v)

const beacon: Record<string, Rule> = {
  site: text,
  privacy: oneOf('full', 'strict', 'consent'),
  page: (v) => /^https?:\/\//.test(v) && v.length <= 2048 && !valid(new URL(v).hash.slice(-11)),
  view: (v) => valid(v),
  seq: whole,
  via: (v) => valid(v),
  referrer: text,
  return: oneOf(true),
  app: text,
  title: text,
  language: text,
  zone: text,
  width: whole,
  canonical: text,
  author: text,
  section: text,
  published: (v) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(v),
  visitor: (v) => text(v) && v.length <= 64,
  events: (v) => Array.isArray(v) && v.length >= 1 && v.length <= 64,
}

const events: Record<string, Record<string, Rule>> = {
  view: { hash: oneOf('written', 'failed', 'excluded', 'refused', 'off') },
  copy: {
    what: oneOf('link', 'text', 'image', 'code', 'email', 'phone'),
    chars: whole,
    words: whole,
    quote: (v) => text(v) && v.length <= 300,
  },
  share: { channel: text, token: (v) => valid(v), outcome: oneOf('offered', 'done', 'cancelled') },
  engage: { visible: whole, scroll: (v) => whole(v) && v <= 100 },
  convert: { name: text, value: (v) => v >= 0 && v < 1e9, currency: (v) => /^[A-Z]{3}$/.test(v), order: text },
  ask: {},
  answer: { source: text, channel: text, mood: oneOf(-1, 0, 1), text: (v) => text(v) && v.length <= 500 },
}

const required: Record<string, string[]> = {
  beacon: ['site', 'page', 'view', 'seq', 'events'],
  copy: ['what'],
  share: ['channel', 'token'],
  engage: ['visible'],
  convert: ['name'],
  answer: ['source'],
}

const check = (name: string, value: Record<string, unknown>, rules: Record<string, Rule>): string[] => [
  ...Object.keys(value)
    .filter((field) => !rules[field]?.(value[field]))
    .map((field) => `${name}.${field}: ${JSON.stringify(value[field])}`),
  ...(required[name] ?? []).filter((field) => !(field in value)).map((field) => `${name}.${field}: missing`),
]

/** What is wrong with a beacon; empty when nothing is. */
export const breaches = (value: Beacon): string[] => [
  ...check('beacon', value as unknown as Record<string, unknown>, beacon),
  ...value.events.flatMap((event) =>
    check(event.type, event, { type: text, age: (v) => whole(v) && v <= 864e5, ...events[event.type] }),
  ),
]
