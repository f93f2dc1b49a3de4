export function Bell() {
  return <></>
}
