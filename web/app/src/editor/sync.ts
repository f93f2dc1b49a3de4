// The editor's text is the document's; what others write comes in without getting in one's way.

import { automergeSyncPlugin } from "@automerge/automerge-codemirror"
import { isReconcileTx, reconcileAnnotationType } from "@automerge/automerge-codemirror/dist/plugin.js"
import type { DocHandle } from "@automerge/automerge-repo"
import { EditorState, type Extension, Transaction } from "@codemirror/state"
import { textPath } from "../documents/content.ts"

/** Whether a transaction brings in what somebody else has done. */
export const isOfOthers = isReconcileTx

/** Whether it ends such a bringing in: only now the editor has what the document has. */
export const isInStep = (transaction: Transaction): boolean => isOfOthers(transaction) && !transaction.docChanged

/** Undo is for one's own edits. */
const ownUndo = EditorState.transactionExtender.of((transaction) =>
  isOfOthers(transaction) ? { annotations: [Transaction.addToHistory.of(false), Transaction.remote.of(true)] } : null,
)

/**
 * Behind the changes of others the plugin sets the selection such that a caret
 * lands behind what somebody has written just there. The editor's own mapping keeps it
 * in front, where the words of both stay whole while they write on.
 */
const keepCaret = EditorState.transactionFilter.of((transaction) =>
  isInStep(transaction) ? { annotations: reconcileAnnotationType.of({}) } : transaction,
)

export function sync(handle: DocHandle<any>): Extension {
  return [
    // Only \n ends a line: of \r\n the editor would count one character, and the document two.
    EditorState.lineSeparator.of("\n"),
    automergeSyncPlugin({ handle, path: textPath }),
    ownUndo,
    keepCaret,
  ]
}
