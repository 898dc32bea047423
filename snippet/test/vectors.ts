// The tables that Go, the snippet and SQL read alike.

import { readFileSync } from 'node:fs'

/** The rows of a table in collector/token/testdata, by the names in its first line. */
export const vectors = (name: string): Record<string, string>[] => {
  const text = readFileSync(new URL(`../../collector/token/testdata/${name}`, import.meta.url), 'utf8')
  const [head, ...lines] = text.split('\n').filter((line) => line !== '')
  const columns = head!.split('\t')
  return lines.map((line) => {
    const cells = line.split('\t')
    return Object.fromEntries(columns.map((column, i) => [column, cells[i] ?? '']))
  })
}
