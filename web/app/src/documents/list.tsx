export function DocumentList() {
  return <></>
}
