// Three readers hand one article on: each has a Chromium profile and a user agent of its own, opens the address that the
// one before had in its address bar, and passes on what its own then shows. The last comes back to its own address.
//
// Usage: node three-readers.mjs http://localhost:8080/pages/article.html
// Prints one line of JSON a visit: {"reader","opened","shows","agent"}.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const readers = [
  ['Ada', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36'],
  ['Ben', 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36'],
  ['Cleo', 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/155.0.0.0 Mobile Safari/537.36'],
];

let address = process.argv[2];
if (!address) {
  console.error('usage: node three-readers.mjs ADDRESS');
  process.exit(2);
}

// One visit: returns what the address bar shows once the collector has taken the view.
async function visit(page, url) {
  const taken = page.waitForResponse((r) => r.request().method() === 'POST' && r.status() === 204, { timeout: 15000 });
  await page.goto(url);
  await taken;
  await page.waitForFunction(() => /\.[0-9A-Za-z]{11}$/.test(location.hash), null, { timeout: 15000 });
  return page.url();
}

for (const [reader, agent] of readers) {
  const profile = await mkdtemp(join(tmpdir(), 'passalong-reader-'));
  const browser = await chromium.launchPersistentContext(profile, { executablePath: '/usr/bin/chromium', args: flags, userAgent: agent });
  try {
    const page = browser.pages()[0] ?? (await browser.newPage());
    const opened = address;
    address = await visit(page, opened);
    console.log(JSON.stringify({ reader, opened, shows: address, agent }));
    if (reader === 'Cleo') {
      const again = await browser.newPage();
      const shows = await visit(again, address);
      console.log(JSON.stringify({ reader, opened: address, shows, agent }));
    }
  } finally {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  }
}
