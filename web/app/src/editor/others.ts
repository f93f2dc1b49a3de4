// Where the others are: a caret and a soft selection for each, in layers over and
// under the text, which they cannot move.

import type { DocHandle } from "@automerge/automerge-repo"
import { EditorSelection, type Extension, StateEffect, StateField } from "@codemirror/state"
import { EditorView, layer, type LayerMarker, RectangleMarker } from "@codemirror/view"
import type { CursorUpdate } from "atrium-client"
import { colorOf } from "../shell/color.ts"
import { findPlace } from "./place.ts"
import { isInStep } from "./sync.ts"
import "./others.css"

interface Other {
  update: CursorUpdate
  /** How often this one has moved: each time, the name is shown for a moment. */
  moves: number
  anchor: number
  head: number
}

/** Says where the others are now. */
export const setOthers = StateEffect.define<readonly CursorUpdate[]>()

export function others(handle: DocHandle<any>): Extension {
  const find = (update: CursorUpdate, old: Other | undefined): Other[] => {
    const place = findPlace(handle.doc(), update.cursor) ?? old
    if (!place) return [] // what it points to is on its way
    const moves = old ? old.moves + Number(old.update !== update) : 0
    return [{ update, moves, anchor: place.anchor, head: place.head }]
  }
  const told = StateField.define<readonly CursorUpdate[]>({
    create: () => [],
    update: (updates, { effects }) => effects.find((effect) => effect.is(setOthers))?.value ?? updates,
  })
  const field = StateField.define<readonly Other[]>({
    create: () => [],
    update(known, transaction) {
      const updates = transaction.state.field(told)
      if (isInStep(transaction) || updates !== transaction.startState.field(told)) {
        return updates.flatMap((update) => find(update, known.find((other) => other.update.sessionId === update.sessionId)))
      }
      if (!transaction.docChanged) return known
      const map = (index: number) => transaction.changes.mapPos(index, -1)
      return known.map((other) => ({ ...other, anchor: map(other.anchor), head: map(other.head) }))
    },
  })
  const changed = ({ state, startState }: { state: EditorView["state"]; startState: EditorView["state"] }) =>
    state.field(field) !== startState.field(field)
  const inside = (view: EditorView, index: number) => Math.min(index, view.state.doc.length)
  const carets = layer({
    above: true,
    class: "others-carets",
    update: changed,
    markers: (view) =>
      view.state.field(field).flatMap((other) =>
        RectangleMarker.forRange(view, "", EditorSelection.cursor(inside(view, other.head))).map(
          ({ left, top, height }) => new Caret(left, top, height, left > view.contentDOM.clientWidth / 2, other.moves, other.update),
        ),
      ),
  })
  const selections = layer({
    above: false,
    class: "others-selections",
    update: changed,
    markers: (view) =>
      view.state.field(field).flatMap(({ anchor, head, update }) => {
        if (anchor === head) return []
        const range = EditorSelection.range(inside(view, anchor), inside(view, head))
        return RectangleMarker.forRange(view, "", range).map((part) => new Selected(part, colorOf(update.userId)))
      }),
  })
  return [told, field, carets, selections, names]
}

/** The pointer does not reach a layer, so that one can click into the text; a name is shown when it is near. */
const names = EditorView.domEventHandlers({
  mousemove(event, view) {
    for (const caret of view.dom.querySelectorAll(".others-carets > div")) {
      const { left, top, bottom } = caret.getBoundingClientRect()
      const near = Math.abs(event.clientX - left) < 6 && event.clientY > top && event.clientY < bottom
      caret.classList.toggle("near", near)
    }
  },
})

class Caret implements LayerMarker {
  constructor(
    private readonly left: number,
    private readonly top: number,
    private readonly height: number,
    private readonly flipped: boolean,
    private readonly moves: number,
    private readonly owner: CursorUpdate,
  ) {}

  eq(other: Caret): boolean {
    const { left, top, height, moves, owner } = this
    return left === other.left && top === other.top && height === other.height && moves === other.moves && owner === other.owner
  }

  draw(): HTMLElement {
    const caret = document.createElement("div")
    const name = caret.appendChild(document.createElement("span"))
    name.textContent = this.owner.username
    caret.style.setProperty("--user", colorOf(this.owner.userId))
    this.#put(caret)
    return caret
  }

  update(caret: HTMLElement, old: Caret): boolean {
    if (old.owner.sessionId !== this.owner.sessionId) return false
    this.#put(caret)
    return true
  }

  #put(caret: HTMLElement): void {
    caret.style.left = `${this.left}px`
    caret.style.top = `${this.top}px`
    caret.style.height = `${this.height}px`
    // Of two animations that are the same one begins anew with each move.
    caret.className = `${this.moves % 2 === 0 ? "even" : "odd"} ${this.flipped ? "flipped" : ""}`
  }
}

class Selected implements LayerMarker {
  constructor(
    private readonly part: RectangleMarker,
    private readonly color: string,
  ) {}

  eq(other: Selected): boolean {
    return this.color === other.color && this.part.eq(other.part)
  }

  draw(): HTMLElement {
    const box = this.part.draw()
    box.style.setProperty("--user", this.color)
    return box
  }

  update(box: HTMLElement, old: Selected): boolean {
    return this.color === old.color && this.part.update(box, old.part)
  }
}
