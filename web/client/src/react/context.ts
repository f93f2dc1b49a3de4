import { createContext, createElement, type ReactNode, useCallback, useContext, useSyncExternalStore } from "react"
import type { Client } from "../client.ts"
import type { State } from "../connection.ts"

const Context = createContext<Client | undefined>(undefined)

/** Gives a client to all hooks below. Whoever made it closes it. */
export function AtriumProvider({ client, children }: { client: Client; children?: ReactNode }): ReactNode {
  return createElement(Context.Provider, { value: client }, children)
}

/** The client of the nearest {@link AtriumProvider}. */
export function useAtrium(): Client {
  const client = useContext(Context)
  if (!client) throw new Error("there is no AtriumProvider above")
  return client
}

/** Whether it is online. */
export function useConnection(): State {
  const client = useAtrium()
  const subscribe = useCallback(
    (listener: () => void) => {
      client.on("state", listener)
      return () => void client.off("state", listener)
    },
    [client],
  )
  return useSyncExternalStore(subscribe, () => client.state, () => "connecting")
}
