import { useSyncExternalStore } from "react"

/** Whether somebody looks at this tab. */
export function useAttention(): boolean {
  return useSyncExternalStore(subscribe, () => document.visibilityState === "visible" && document.hasFocus())
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("focus", listener)
  window.addEventListener("blur", listener)
  document.addEventListener("visibilitychange", listener)
  return () => {
    window.removeEventListener("focus", listener)
    window.removeEventListener("blur", listener)
    document.removeEventListener("visibilitychange", listener)
  }
}
