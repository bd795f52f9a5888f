import { useEffect } from 'react'
import { useText } from '../text'
import { Gatehouse } from './Gatehouse'
import { channel } from './oidc'

// LoggedIn is where a window comes back to that was opened to log in again.
export function LoggedIn() {
  const { t } = useText()
  useEffect(() => {
    const sender = new BroadcastChannel(channel)
    sender.postMessage('')
    sender.close()
    window.close()
  }, [])
  return <Gatehouse title={t('session.done')} />
}
