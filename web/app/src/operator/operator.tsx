export function Operator() {
  return <></>
}
