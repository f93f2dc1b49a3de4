// The page: sign in, then write into the document that the address names.

import { initializeWasm } from "@automerge/automerge/slim"
import wasmUrl from "@automerge/automerge/automerge.wasm?url"
import { type AutomergeUrl, type DocHandle, isValidAutomergeUrl, Repo } from "@automerge/automerge-repo/slim"
import { Connection, type Notification } from "./connection.ts"
import { current, forget, isDevelopment, keep, mint, type Session } from "./session.ts"
import { bind, type SharedText } from "./textarea.ts"

const element = <T extends HTMLElement = HTMLElement>(id: string) => document.getElementById(id) as T
const form = element<HTMLFormElement>("sign-in")
const credential = element<HTMLInputElement>("credential")
const area = element<HTMLTextAreaElement>("text")

await initializeWasm(wasmUrl)
const repo = new Repo()
let connection: Connection | undefined

function say(state: "waiting" | "connected" | "trouble", text: string): void {
  Object.assign(element("status"), { textContent: text }).dataset.state = state
}

function show(signedIn: boolean): void {
  form.hidden = signedIn
  element("session").hidden = element("document").hidden = !signedIn
}

async function askWho(problem = ""): Promise<void> {
  const development = await isDevelopment()
  element("credential-label").textContent = development ? "Your name" : "Your token"
  credential.type = development ? "text" : "password"
  element("problem").textContent = problem
  show(false)
  say("waiting", "signed out")
  credential.focus()
  form.onsubmit = async (event) => {
    event.preventDefault()
    try {
      const given = credential.value.trim()
      enter(keep(development ? await mint(given) : given))
    } catch (error) {
      element("problem").textContent = (error as Error).message
    }
  }
}

/** Connects; after a second sign-in the repo stays, with what it has unsent. */
function enter({ token, name }: Session): void {
  credential.value = ""
  element("who").textContent = name
  show(true)
  say("waiting", "connecting…")
  const first = !connection
  if (connection) repo.networkSubsystem.removeNetworkAdapter(connection)
  const refused = () => {
    forget()
    void askWho("Your session has ended. Sign in to go on.")
  }
  connection = new Connection(token, refused, notify)
  connection.on("peer-candidate", () => say("connected", "connected"))
  connection.on("peer-disconnected", () => say("trouble", "reconnecting…"))
  repo.networkSubsystem.addNetworkAdapter(connection)
  if (first) void open()
}

/** Shows a notification for a while. */
function notify({ title, body }: Notification): void {
  const note = document.createElement("p")
  const heading = document.createElement("strong")
  heading.textContent = title
  note.append(heading, body ? ` ${body}` : "")
  element("notifications").prepend(note)
  setTimeout(() => note.remove(), 15_000)
}

async function open(): Promise<void> {
  const handle = await named()
  if (!handle.isReady()) area.placeholder = "This document is not here, or not for you. It opens as soon as it is."
  await handle.whenReady()
  bind(area, handle)
  area.focus()
}

/** The document in the address; a new one is put there. */
async function named(): Promise<DocHandle<SharedText>> {
  const address = location.hash.slice(1)
  if (isValidAutomergeUrl(address)) {
    return repo.find<SharedText>(address as AutomergeUrl, { allowableStates: ["ready", "unavailable"] })
  }
  const handle = repo.create<SharedText>({ text: "" })
  history.replaceState(null, "", `#${handle.url}`)
  return handle
}

addEventListener("hashchange", () => location.reload())
element("sign-out").addEventListener("click", () => {
  forget()
  location.reload()
})

const session = current()
if (session) enter(session)
else void askWho()
