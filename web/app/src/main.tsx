import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import { App } from "./app.tsx"
import "./style.css"

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
)

// Without TLS there is none but on this machine.
if (import.meta.env.PROD) void navigator.serviceWorker?.register("/offline.js")
