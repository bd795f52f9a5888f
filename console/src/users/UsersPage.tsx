import { PlusOutlined } from '@ant-design/icons'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button, Card, Flex, Table, type TableColumnsType, Tag, Tooltip } from 'antd'
import { useState } from 'react'
import { Link } from 'react-router'
import { Role, type User } from '../api/portcullis/v1/access_pb'
import { central } from '../central'
import { useSession } from '../session/session'
import { describe } from '../shared/errors'
import { PageHead } from '../shared/PageHead'
import { RemoveButton } from '../shared/RemoveButton'
import { Secret } from '../shared/Secret'
import { Answer, Needs } from '../shared/states'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { oneTimePassword } from './password'
import { UserForm } from './UserForm'

interface Given {
  name: string
  password: string
}

function ResetButton({ name, disabled, onReset }: { name: string; disabled: boolean; onReset: (given: Given) => void }) {
  const { t } = useText()
  const { modal, message } = App.useApp()
  const queries = useQueryClient()
  const reset = useMutation({
    mutationFn: async () => {
      const password = oneTimePassword()
      await central.users.updateUser({ name, password })
      onReset({ name, password })
    },
    onError: (error) => void message.error(describe(error, t)),
    onSettled: () => queries.invalidateQueries({ queryKey: ['users'] }),
  })
  const ask = () =>
    modal.confirm({
      title: t('users.resetAsk', { name }),
      content: t('users.resetHint'),
      okText: t('users.reset'),
      cancelText: t('shared.cancel'),
      onOk: () => reset.mutate(),
    })
  return (
    <Button disabled={disabled} loading={reset.isPending} aria-label={`${t('users.reset')}: ${name}`} onClick={ask}>
      {t('users.reset')}
    </Button>
  )
}

interface RowProps {
  user: User
  onEdit: (user: User) => void
  onReset: (given: Given) => void
}

function Actions({ user, onEdit, onReset }: RowProps) {
  const { t } = useText()
  const { name, external } = user
  const own = useSession().user.name === name
  return (
    <Tooltip title={own ? t('users.self') : undefined}>
      <Flex gap={8}>
        <Button disabled={own} aria-label={`${t('shared.edit')}: ${name}`} onClick={() => onEdit(user)}>
          {t('shared.edit')}
        </Button>
        <ResetButton name={name} disabled={own || external} onReset={onReset} />
        <RemoveButton name={name} disabled={own} ask={t('users.deleteAsk', { name })} hint={t('users.deleteHint')} queryKey="users" remove={() => central.users.deleteUser({ name })} />
      </Flex>
    </Tooltip>
  )
}

function StateTags({ user }: { user: User }) {
  const { t } = useText()
  return (
    <Flex gap={4}>
      {user.disabled ? <Tag>{t('users.disabled')}</Tag> : <Tag color="green">{t('users.active')}</Tag>}
      {user.mustChangePassword && <Tag color="gold">{t('users.mustChange')}</Tag>}
    </Flex>
  )
}

function useColumns(row: Omit<RowProps, 'user'>): TableColumnsType<User> {
  const { t, word } = useText()
  const time = useTime()
  const own = useSession().user.name
  const name = (user: User) => (user.name === own ? <Link to="/profile">{t('users.you', { name: own })}</Link> : user.name)
  return [
    { key: 'name', title: t('users.name'), render: (_, user) => name(user) },
    { key: 'role', title: t('users.role'), render: (_, { role }) => word('role', String(role)) },
    { key: 'login', title: t('users.login'), render: (_, { external }) => (external ? t('users.sso') : t('users.password')) },
    { key: 'state', title: t('users.state'), render: (_, user) => <StateTags user={user} /> },
    { key: 'lastLogin', title: t('users.lastLogin'), render: (_, { lastLoginTime }) => time(lastLoginTime) },
    { key: 'actions', render: (_, user) => <Actions user={user} {...row} /> },
  ]
}

function Users() {
  const { t } = useText()
  const [form, setForm] = useState<{ user?: User }>()
  const [given, setGiven] = useState<Given>()
  const columns = useColumns({ onEdit: (user) => setForm({ user }), onReset: setGiven })
  const query = useQuery({ queryKey: ['users'], queryFn: () => central.users.listUsers({}) })
  return (
    <>
      <PageHead title={t('app.users')}>
        <Button type="primary" icon={<PlusOutlined />} onClick={() => setForm({})}>
          {t('users.new')}
        </Button>
      </PageHead>
      <Card>
        <Answer of={query}>
          {({ users }) => <Table rowKey="name" size="small" dataSource={users} columns={columns} pagination={{ pageSize: 50, hideOnSinglePage: true, showSizeChanger: false }} scroll={{ x: 'max-content' }} />}
        </Answer>
      </Card>
      {form && <UserForm user={form.user} onClose={() => setForm(undefined)} onCreated={(name, password) => password && setGiven({ name, password })} />}
      {given && <Secret title={t('users.oneTime', { name: given.name })} hint={t('users.oneTimeHint')} secret={given.password} onClose={() => setGiven(undefined)} />}
    </>
  )
}

export function UsersPage() {
  return (
    <Needs role={Role.ADMIN}>
      <Users />
    </Needs>
  )
}
