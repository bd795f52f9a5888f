import { Alert, Button } from 'antd'
import { createBrowserRouter, Outlet } from 'react-router'
import { SessionGate } from '../session/SessionGate'
import { Loading, Nothing } from '../shared/states'
import { useText } from '../text'
import { Frame } from './Frame'
import { pages } from './pages'

function Lost() {
  const { t } = useText()
  return <Nothing says={t('app.lost')} />
}

// Broken is shown when a page's code cannot be loaded, as after an upgrade.
function Broken() {
  const { t } = useText()
  const reload = <Button onClick={() => window.location.reload()}>{t('app.reload')}</Button>
  return <Alert type="error" showIcon title={t('app.outdated')} action={reload} style={{ margin: 24 }} />
}

function Root() {
  return (
    <SessionGate>
      <Frame>
        <Outlet />
      </Frame>
    </SessionGate>
  )
}

export const router = createBrowserRouter([
  { path: '/logged-in', HydrateFallback: Loading, lazy: async () => ({ Component: (await import('../session/LoggedIn')).LoggedIn }) },
  {
    path: '/',
    Component: Root,
    ErrorBoundary: Broken,
    HydrateFallback: Loading,
    children: [
      { ErrorBoundary: Broken, children: [...pages.flatMap((page) => page.routes), { path: '*', Component: Lost }] },
    ],
  },
])
