/**
 * Apps that only their own window globals give away. Telegram's browser on iOS
 * has Safari's user agent and TelegramWebviewProxy; on Android it has
 * TelegramWebview (inapp-spy, detectTelegram.ts).
 */
export const app = (): unknown => (window.TelegramWebview || window.TelegramWebviewProxy) && 'telegram'
