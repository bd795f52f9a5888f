import { Alert, Modal } from 'antd'
import { useEffect, useEffectEvent, useState } from 'react'
import { central } from '../central'
import { useText } from '../text'
import { LoginForm } from './LoginForm'
import { channel, withReturn } from './oidc'

// ExpiredDialog stands over the page until its user is logged in again. Another user is not let go on
// with it, because it shows and holds what the first one saw and entered.
export function ExpiredDialog({ name, onLogin }: { name: string; onLogin: () => void }) {
  const { t } = useText()
  const [other, setOther] = useState(false)
  const check = (who?: string) => (who === name ? onLogin() : setOther(true))
  const returned = useEffectEvent(async () => check((await central.sessions.getSession({})).user?.name))
  useEffect(() => {
    const receiver = new BroadcastChannel(channel)
    receiver.onmessage = () => void returned()
    return () => receiver.close()
  }, [])
  return (
    <Modal open title={t('session.expired')} closable={false} keyboard={false} mask={{ closable: false }} footer={null}>
      <p>{t('session.expiredHint')}</p>
      {other && <Alert type="warning" showIcon title={t('session.otherUser', { name })} style={{ marginBottom: 16 }} />}
      <LoginForm name={name} onLogin={(user) => check(user.name)} onOIDC={(url) => window.open(withReturn(url, '/logged-in'), '_blank', 'popup,width=600,height=700')} />
    </Modal>
  )
}
