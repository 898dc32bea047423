// Builds dist/passalong.js: esbuild bundles and strips the types, terser makes
// it smaller (together the smallest of seven ways tried). No clock, no path and
// no version goes in: the same source gives the same bytes on every machine.

import { mkdir, writeFile } from 'node:fs/promises'
import { build } from 'esbuild'
import { minify } from 'terser'

const here = new URL('.', import.meta.url)

const { outputFiles } = await build({
  entryPoints: [new URL('src/entry.ts', here).pathname],
  bundle: true,
  format: 'iife',
  target: 'es2018',
  mangleProps: /^_/,
  minify: true,
  // Without tsconfig's strict, which would add "use strict" and nothing else.
  tsconfigRaw: {},
  write: false,
  logLevel: 'warning',
})

const { code } = await minify(outputFiles[0].text, {
  ecma: 2018,
  toplevel: true,
  compress: { passes: 4, unsafe_arrows: true, pure_getters: true, keep_fargs: false },
})

await mkdir(new URL('dist/', here), { recursive: true })
await writeFile(new URL('dist/passalong.js', here), code)
