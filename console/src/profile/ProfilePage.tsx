import { App, Card, Descriptions } from 'antd'
import { ChangePasswordForm } from '../session/ChangePasswordForm'
import { useSession } from '../session/session'
import { PageHead } from '../shared/PageHead'
import { useTime } from '../shared/time'
import { Tokens } from '../tokens/Tokens'
import { useText } from '../text'

export function ProfilePage() {
  const { t, word } = useText()
  const { user } = useSession()
  const { message } = App.useApp()
  const time = useTime()
  const items = [
    { key: 'name', label: t('session.name'), children: user.name },
    { key: 'role', label: t('profile.role'), children: word('role', String(user.role)) },
    { key: 'login', label: t('profile.lastLogin'), children: time(user.lastLoginTime) },
  ]
  return (
    <>
      <PageHead title={t('app.profile')} />
      <Card style={{ marginBottom: 16 }}>
        <Descriptions column={{ xs: 1, md: 3 }} items={items} />
      </Card>
      <Card title={t('session.change')} style={{ maxWidth: 520, marginBottom: 16 }}>
        {user.external ? t('profile.external') : <ChangePasswordForm name={user.name} onChanged={() => void message.success(t('profile.changed'))} />}
      </Card>
      <Tokens />
    </>
  )
}
