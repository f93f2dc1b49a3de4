export function Dashboard() {
  return <></>
}
