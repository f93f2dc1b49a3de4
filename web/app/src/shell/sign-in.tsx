import { type FormEvent, useEffect, useRef, useState } from "react"
import { isDevelopment, Session } from "../session.ts"

/** Asks for a name in development mode, else for a token. */
export function SignIn({ ended, enter }: { ended: string; enter: (session: Session) => Promise<void> }) {
  const [development, setDevelopment] = useState<boolean>()
  const [problem, setProblem] = useState(ended && `Your session has ended: ${ended}. Sign in to go on.`)
  const [busy, setBusy] = useState(false)
  const field = useRef<HTMLInputElement>(null)

  useEffect(() => {
    document.title = "Sign in · Atrium"
    isDevelopment().then(setDevelopment, () => setProblem("The server does not answer."))
  }, [])
  useEffect(() => field.current?.focus(), [development])

  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    try {
      const given = field.current!.value.trim()
      await enter(development ? await Session.minted(given) : Session.of(given))
    } catch (error) {
      setProblem((error as Error).message)
      setBusy(false)
    }
  }

  return (
    <main className="sign-in">
      <form className="card" onSubmit={submit}>
        <h1>
          <img src="/icon.svg" alt="" width="28" height="28" /> Atrium
        </h1>
        <label htmlFor="credential">{development === false ? "Your token" : "Your name"}</label>
        <input
          id="credential"
          ref={field}
          required
          disabled={development === undefined}
          type={development === false ? "password" : "text"}
          autoComplete="off"
        />
        <p role="alert" className="problem">
          {problem}
        </p>
        <button type="submit" className="primary" disabled={busy || development === undefined}>
          Sign in
        </button>
      </form>
    </main>
  )
}
