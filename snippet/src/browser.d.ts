// What the DOM library does not know, and the one global of ours.

interface Document {
  readonly prerendering?: boolean
}

interface Navigator {
  readonly globalPrivacyControl?: boolean
}

interface Window {
  passalong?: import('./commands').Passalong
  TelegramWebview?: unknown
  TelegramWebviewProxy?: unknown
}
