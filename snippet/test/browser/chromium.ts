// One Chromium for the whole run; readers share it as tabs.

import { chromium } from 'playwright-core'
import type { TestProject } from 'vitest/node'

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // A process for each page would be most of the time these tests take.
  '--process-per-site',
]

export default async (project: TestProject) => {
  const server = await chromium.launchServer({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    host: '127.0.0.1',
    args,
  })
  project.provide('chromium', server.wsEndpoint())
  return () => server.close()
}

declare module 'vitest' {
  interface ProvidedContext {
    chromium: string
  }
}
