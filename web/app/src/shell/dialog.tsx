import { type ReactNode, type RefObject, useEffect, useId } from "react"

interface DialogProps {
  dialog: RefObject<HTMLDialogElement | null>
  title: string
  text: string
  /** What went wrong with an answer. */
  problem: string
  /** Called when it has been closed, whichever way. */
  close: () => void
  /** The answers, besides giving up. */
  children: ReactNode
}

/** A question over the page. */
export function Dialog({ dialog, title, text, problem, close, children }: DialogProps) {
  const heading = useId()
  useEffect(() => dialog.current!.showModal(), [dialog])
  return (
    <dialog ref={dialog} className="card" aria-labelledby={heading} onClose={close}>
      <h2 id={heading}>{title}</h2>
      <p>{text}</p>
      <p role="alert" className="problem">
        {problem}
      </p>
      <div className="choices">
        <button type="button" onClick={() => dialog.current!.close()}>
          Cancel
        </button>
        {children}
      </div>
    </dialog>
  )
}
