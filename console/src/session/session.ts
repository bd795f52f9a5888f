import { createContext, use } from 'react'
import type { Role, User } from '../api/portcullis/v1/access_pb'

export interface Session {
  user: User
  // Of central.
  version: string
  may: (least: Role) => boolean
  logout: () => Promise<void>
}

export const SessionContext = createContext<Session | undefined>(undefined)

// useSession tells who is logged in. Below SessionGate there is always somebody.
export function useSession() {
  const session = use(SessionContext)
  if (!session) throw new Error('useSession outside SessionGate')
  return session
}
