import { useLocation } from 'react-router'
import { useText } from '../text'
import { Gatehouse } from './Gatehouse'
import { LoginForm } from './LoginForm'
import { withReturn } from './oidc'

export function LoginPage({ onLogin }: { onLogin: () => void }) {
  const { t } = useText()
  const { pathname, search } = useLocation()
  return (
    <Gatehouse title={t('session.title')}>
      <LoginForm onLogin={onLogin} onOIDC={(url) => window.location.assign(withReturn(url, pathname + search))} />
    </Gatehouse>
  )
}
