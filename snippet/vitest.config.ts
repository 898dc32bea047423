import { defineConfig } from 'vitest/config'

// Files share a worker and what it has loaded: nothing here leaves anything
// behind in a module, and loading the browser's driver is slow.
const common = { isolate: false, testTimeout: 15_000, hookTimeout: 30_000 }

export default defineConfig({
  test: {
    reporters: ['verbose'],
    maxWorkers: 2,
    projects: [
      { test: { ...common, name: 'unit', include: ['test/unit/*.test.ts'] } },
      {
        test: {
          ...common,
          name: 'chromium',
          include: ['test/browser/*.test.ts'],
          globalSetup: ['test/browser/chromium.ts'],
        },
      },
    ],
  },
})
