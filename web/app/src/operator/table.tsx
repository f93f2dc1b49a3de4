import type { ReactNode } from "react"

interface TableProps {
  caption: string
  columns: readonly string[]
  /** Undefined until the list is known. */
  count: number | undefined
  missing: number
  problem: string
  back: (() => void) | undefined
  next: (() => void) | undefined
  /** What stands beside the caption. */
  tools?: ReactNode
  children: ReactNode
}

/** A list with its name, what is wrong with it, and the way to its other pages. */
export function Table({ caption, columns, count, missing, problem, back, next, tools, children }: TableProps) {
  const nodes = missing === 1 ? "1 node did not answer." : `${missing} nodes did not answer.`
  return (
    <section aria-label={caption}>
      <header>
        <h2>{caption}</h2>
        <p role="alert" className="problem">
          {problem || (missing > 0 && nodes)}
        </p>
        {tools}
      </header>
      <div className="card wide" tabIndex={0} role="region" aria-label={`${caption}, table`}>
        <table>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column} scope="col">
                  {column || <span className="visually-hidden">Actions</span>}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>{children}</tbody>
        </table>
        {count === 0 && <p className="soft empty">None.</p>}
      </div>
      {(back || next) && (
        <nav aria-label={`Pages of ${caption.toLowerCase()}`}>
          <button type="button" disabled={!back} onClick={back}>
            Previous
          </button>
          <button type="button" disabled={!next} onClick={next}>
            Next
          </button>
        </nav>
      )}
    </section>
  )
}
