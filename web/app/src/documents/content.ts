/** What the app keeps in a document. Other programs may have made it otherwise. */
export interface Content {
  title?: string
  text?: string
}

/** Where a document has its text. */
export const textPath = ["text"]
