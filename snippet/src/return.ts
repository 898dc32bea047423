/**
 * Whether the browser itself came back: reload (1), back, forward or a restored
 * tab (2); not by a link (0) or in another way (255). The newer
 * PerformanceNavigationTiming says the same in more bytes, and not before Safari 15.
 */
export const cameBack = (): boolean => (performance.navigation || {}).type % 3 > 0
