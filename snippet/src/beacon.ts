// One string to the collector. A string is text/plain, so no preflight. Nothing
// comes back that anybody waits for, and whatever stands in the way (a blocker,
// a policy, a page that patched these functions) the page does not hear of it.

import { endpoint } from './settings'

// What is empty, false or not known stays at home.
const filled = (_: string, value: unknown) => (value || value === 0 ? value : undefined)

export const post = (beacon: object): void => {
  try {
    const url = endpoint()
    const body = JSON.stringify(beacon, filled)
    // False: 64 KiB of beacons are already on their way.
    if (!navigator.sendBeacon(url, body)) {
      fetch(url, { method: 'POST', body, keepalive: true }).catch(() => {})
    }
  } catch {
    // Neither is there, or not the browser's own.
  }
}
