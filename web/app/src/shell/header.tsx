import { useConnection } from "atrium-client/react"
import { Link, useLocation } from "wouter"
import { Bell } from "../bell/bell.tsx"
import { Session } from "../session.ts"
import { useWorkspace } from "../workspace.ts"
import { Avatar } from "./avatar.tsx"

/** What stands above every page. */
export function Header() {
  const { me } = useWorkspace()
  return (
    <header className="bar">
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <Link href="/" className="brand">
        <img src="/icon.svg" alt="" width="24" height="24" /> Atrium
      </Link>
      <nav aria-label="Pages">
        <To href="/">Documents</To>
        <To href="/dashboard">Dashboard</To>
        {me.admin && <To href="/operator">Operator</To>}
      </nav>
      <ConnectionState />
      <Bell />
      <SignedIn />
    </header>
  )
}

function To({ href, children }: { href: string; children: string }) {
  const [location] = useLocation()
  const here = href === "/" ? location === "/" || location.startsWith("/d/") : location === href
  return (
    <Link href={href} aria-current={here ? "page" : undefined}>
      {children}
    </Link>
  )
}

const words = {
  connecting: "Connecting…",
  online: "Online",
  offline: "Offline: what you do is kept here",
  refused: "Signed out",
}

function ConnectionState() {
  const state = useConnection()
  return (
    <p role="status" className="connection" data-state={state}>
      {words[state]}
    </p>
  )
}

function SignedIn() {
  const { me } = useWorkspace()
  const leave = () => {
    Session.forget()
    location.assign("/")
  }
  return (
    <div className="me">
      <Avatar userId={me.userId} name={me.name} />
      <span className="name">{me.name}</span>
      <button type="button" onClick={leave}>
        Sign out
      </button>
    </div>
  )
}
