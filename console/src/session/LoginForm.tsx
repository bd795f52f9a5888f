import { Code, ConnectError } from '@connectrpc/connect'
import { useMutation, useQuery } from '@tanstack/react-query'
import { Alert, Button, Divider, Form, Input } from 'antd'
import type { User } from '../api/portcullis/v1/access_pb'
import { central } from '../central'
import { describe } from '../shared/errors'
import { Failure, Loading } from '../shared/states'
import { type Translate, useText } from '../text'

interface Props {
  // The only one who may go on with what stands below the dialog.
  name?: string
  onLogin: (user: User) => void
  // Sends the browser to the provider, or opens a window for it.
  onOIDC: (url: string) => void
}

function why(error: Error, t: Translate) {
  switch (ConnectError.from(error).code) {
    case Code.Unauthenticated:
      return t('session.wrong')
    case Code.ResourceExhausted:
      return t('session.slow')
    default:
      return describe(error, t)
  }
}

export function LoginForm({ name, onLogin, onOIDC }: Props) {
  const { t } = useText()
  const options = useQuery({ queryKey: ['login-options'], queryFn: () => central.sessions.getLoginOptions({}) })
  const login = useMutation({
    mutationFn: (values: { name: string; password: string }) => central.sessions.login(values),
    onSuccess: ({ user }) => user && onLogin(user),
  })
  if (options.isPending) return <Loading />
  if (options.isError) return <Failure error={options.error} retry={() => void options.refetch()} />
  const { password, oidcUrl, oidcName } = options.data
  const required = [{ required: true, message: t('session.required') }]
  return (
    <>
      {login.isError && <Alert type="error" showIcon role="alert" title={why(login.error, t)} style={{ marginBottom: 16 }} />}
      {password && (
        <Form layout="vertical" requiredMark={false} initialValues={{ name }} onFinish={login.mutate} name="login">
          <Form.Item name="name" label={t('session.name')} rules={required}>
            <Input autoComplete="username" maxLength={64} readOnly={name !== undefined} />
          </Form.Item>
          <Form.Item name="password" label={t('session.password')} rules={required}>
            <Input.Password autoComplete="current-password" maxLength={128} />
          </Form.Item>
          <Button type="primary" htmlType="submit" block loading={login.isPending}>
            {t('session.login')}
          </Button>
        </Form>
      )}
      {password && oidcUrl && <Divider plain>{t('session.or')}</Divider>}
      {oidcUrl && (
        <Button block onClick={() => onOIDC(oidcUrl)}>
          {t('session.oidc', { name: oidcName || t('session.sso') })}
        </Button>
      )}
    </>
  )
}
