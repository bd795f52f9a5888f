import { Code, ConnectError } from '@connectrpc/connect'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { lazy, type ReactNode, Suspense, useEffect, useState } from 'react'
import { central, onExpired } from '../central'
import { Failure, Loading } from '../shared/states'
import { SessionContext } from './session'

// Who is logged in does not load these.
const LoginPage = lazy(async () => ({ default: (await import('./LoginPage')).LoginPage }))
const ChangePasswordPage = lazy(async () => ({ default: (await import('./ChangePasswordPage')).ChangePasswordPage }))
const ExpiredDialog = lazy(async () => ({ default: (await import('./ExpiredDialog')).ExpiredDialog }))

async function getSession() {
  try {
    return await central.sessions.getSession({})
  } catch (error) {
    if (ConnectError.from(error).code === Code.Unauthenticated) return null
    throw error
  }
}

// SessionGate shows the login page to those who are not logged in. When a session ends while somebody
// works, it asks in a dialog, so that the page below keeps what was entered.
export function SessionGate({ children }: { children: ReactNode }) {
  const queries = useQueryClient()
  const [expired, setExpired] = useState(false)
  // It is not asked again by itself: an ended session shows in the dialog and not by the page vanishing.
  const query = useQuery({ queryKey: ['session'], queryFn: getSession, staleTime: Infinity, refetchOnWindowFocus: false, refetchOnReconnect: false })
  useEffect(() => onExpired(() => setExpired(true)), [])
  const again = () => void queries.invalidateQueries({ queryKey: ['session'] })

  if (query.isPending) return <Loading />
  if (query.isError) return <Failure error={query.error} retry={again} />
  if (!query.data?.user) {
    return (
      <Suspense fallback={<Loading />}>
        <LoginPage onLogin={again} />
      </Suspense>
    )
  }
  const user = query.data.user
  if (user.mustChangePassword) {
    return (
      <Suspense fallback={<Loading />}>
        <ChangePasswordPage name={user.name} onChanged={again} />
      </Suspense>
    )
  }

  const logout = async () => {
    await central.sessions.logout({})
    queries.clear()
    window.location.assign('/')
  }
  const renewed = () => {
    setExpired(false)
    void queries.invalidateQueries()
  }
  return (
    <SessionContext value={{ user, version: query.data.version, may: (least) => user.role >= least, logout }}>
      {children}
      <Suspense>{expired && <ExpiredDialog name={user.name} onLogin={renewed} />}</Suspense>
    </SessionContext>
  )
}
