/** React hooks over a client. Each renders again when its value has changed. */
export { AtriumProvider, useAtrium, useConnection } from "./context.ts"
export { useCursors, useMetric, useMetrics, useNotifications, usePresence, useRoom, useSaved, useTyping } from "./hooks.ts"
