import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Form, Input, Modal, Radio, Switch } from 'antd'
import { Role, type User } from '../api/portcullis/v1/access_pb'
import { central } from '../central'
import { showProblems } from '../shared/formProblems'
import { Failure } from '../shared/states'
import { useText } from '../text'
import { oneTimePassword } from './password'

interface Values {
  name: string
  role: Role
  external: boolean
  mayLogin: boolean
}

interface Props {
  // Who is edited; none is a new one.
  user?: User
  onClose: () => void
  // The one-time password of a new user, none for who logs in by OIDC.
  onCreated: (name: string, password: string) => void
}

function RoleField() {
  const { t, word } = useText()
  const option = (role: Role.VIEWER | Role.EDITOR | Role.ADMIN) => ({
    value: role,
    label: (
      <>
        <strong>{word('role', String(role))}</strong> {t(`users.role.${role}`)}
      </>
    ),
  })
  return (
    <Form.Item name="role" label={t('users.role')}>
      <Radio.Group aria-label={t('users.role')} vertical options={[option(Role.VIEWER), option(Role.EDITOR), option(Role.ADMIN)]} />
    </Form.Item>
  )
}

function NewUserFields() {
  const { t } = useText()
  const logins = [
    { value: false, label: t('users.password') },
    { value: true, label: t('users.sso') },
  ]
  return (
    <>
      <Form.Item name="name" label={t('users.name')} extra={t('users.nameHint')} rules={[{ required: true, message: t('session.required') }]}>
        <Input maxLength={64} autoComplete="off" autoCapitalize="none" />
      </Form.Item>
      <Form.Item name="external" label={t('users.login')}>
        <Radio.Group aria-label={t('users.login')} options={logins} />
      </Form.Item>
    </>
  )
}

export function UserForm({ user, onClose, onCreated }: Props) {
  const { t } = useText()
  const queries = useQueryClient()
  const [form] = Form.useForm<Values>()
  const save = useMutation({
    mutationFn: async ({ name, role, external, mayLogin }: Values) => {
      if (user) return void (await central.users.updateUser({ name: user.name, role, disabled: !mayLogin }))
      const password = external ? '' : oneTimePassword()
      const made = await central.users.createUser({ name, role, password })
      onCreated(made.user!.name, password)
    },
    onSuccess: onClose,
    onError: (error) => showProblems(form, error),
    onSettled: () => queries.invalidateQueries({ queryKey: ['users'] }),
  })
  const initial = { name: '', external: false, role: user?.role ?? Role.VIEWER, mayLogin: !user?.disabled }
  return (
    <Modal
      open
      title={user ? t('users.editTitle', { name: user.name }) : t('users.new')}
      okText={user ? t('shared.save') : t('shared.create')}
      cancelText={t('shared.cancel')}
      okButtonProps={{ loading: save.isPending }}
      mask={{ closable: false }}
      onOk={form.submit}
      onCancel={onClose}
    >
      {save.isError && <Failure error={save.error} />}
      <Form form={form} name="user" layout="vertical" requiredMark={false} initialValues={initial} onFinish={save.mutate}>
        {!user && <NewUserFields />}
        <RoleField />
        {user && (
          <Form.Item name="mayLogin" label={t('users.mayLogin')} valuePropName="checked">
            <Switch />
          </Form.Item>
        )}
      </Form>
    </Modal>
  )
}
