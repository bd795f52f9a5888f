import { LockOutlined } from '@ant-design/icons'
import { Code, ConnectError } from '@connectrpc/connect'
import type { UseQueryResult } from '@tanstack/react-query'
import { Alert, Button, Empty, Flex, Result, Spin } from 'antd'
import type { ReactNode } from 'react'
import type { Role } from '../api/portcullis/v1/access_pb'
import { useSession } from '../session/session'
import { useText } from '../text'
import { describe, problemsOf } from './errors'

// The states that every page has besides its content.

export function Loading() {
  const { t } = useText()
  return (
    <Flex component="output" justify="center" style={{ padding: 48 }} aria-label={t('shared.loading')}>
      <Spin size="large" />
    </Flex>
  )
}

export function Failure({ error, retry }: { error: Error; retry?: () => void }) {
  const { t } = useText()
  const problems = problemsOf(error)
  const list = problems.length > 0 && (
    <ul style={{ margin: 0, paddingInlineStart: 16 }}>
      {problems.map((problem) => (
        <li key={problem.field + problem.line + problem.message}>
          {problem.field && <code>{problem.field} </code>}
          {problem.message}
        </li>
      ))}
    </ul>
  )
  const says = (
    <Flex vertical gap={8} align="start">
      {list || describe(error, t)}
      {retry && <Button onClick={retry}>{t('shared.retry')}</Button>}
    </Flex>
  )
  return <Alert type="error" showIcon role="alert" title={t('shared.failed')} description={says} style={{ marginBottom: 16 }} />
}

export function Nothing({ says, children }: { says?: string; children?: ReactNode }) {
  const { t } = useText()
  return (
    <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={says ?? t('shared.empty')}>
      {children}
    </Empty>
  )
}

export function NotAllowed() {
  const { t, word } = useText()
  const { user } = useSession()
  return <Result icon={<LockOutlined />} title={t('shared.notAllowed')} subTitle={t('shared.notAllowedHint', { role: word('role', String(user.role)) })} />
}

// Needs shows its content to those who have the role, and says to others that they have not.
export function Needs({ role, children }: { role: Role; children: ReactNode }) {
  return useSession().may(role) ? children : <NotAllowed />
}

// Answer shows what a query brought, or the state that it is in.
export function Answer<Data>({ of, children }: { of: UseQueryResult<Data>; children: (data: Data) => ReactNode }) {
  const { t } = useText()
  // What was there before stays readable while it cannot be had anew.
  if (of.data !== undefined) return children(of.data)
  if (of.isPending) return <Loading />
  const { code } = ConnectError.from(of.error)
  if (code === Code.PermissionDenied) return <NotAllowed />
  if (code === Code.NotFound) return <Nothing says={t('shared.notFound')} />
  return <Failure error={of.error!} retry={() => void of.refetch()} />
}
