export function Chat({ roomId }: { roomId: string }) {
  return <aside aria-label="Chat">{roomId}</aside>
}
