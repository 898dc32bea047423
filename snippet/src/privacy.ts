// What the reader has said. The opt-out is the only thing ever stored without
// consent: localStorage.passalong. Storage throws in sandboxed frames and where
// cookies are blocked.

/** Global Privacy Control, Do-Not-Track, or an opt-out on this site. */
export const declined = (): unknown => {
  try {
    return navigator.globalPrivacyControl || (navigator.doNotTrack as unknown as number) > 0 || localStorage.passalong
  } catch {
    // Nowhere to remember an opt-out.
  }
}

export const optOut = (): void => {
  try {
    localStorage.passalong = 1
  } catch {
    // It holds for this page.
  }
}
