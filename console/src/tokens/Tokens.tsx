import { timestampDate } from '@bufbuild/protobuf/wkt'
import { PlusOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button, Card, Flex, Switch, Table, type TableColumnsType, Tag, Typography } from 'antd'
import { useState } from 'react'
import { Role, type Token } from '../api/portcullis/v1/access_pb'
import { central } from '../central'
import { useSession } from '../session/session'
import { RemoveButton } from '../shared/RemoveButton'
import { Secret } from '../shared/Secret'
import { Answer, Nothing } from '../shared/states'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { TokenForm } from './TokenForm'

function Expiry({ token, now }: { token: Token; now: number }) {
  const { t } = useText()
  const time = useTime()
  const over = token.expireTime && timestampDate(token.expireTime).getTime() <= now
  return (
    <>
      {time(token.expireTime)} {over && <Tag>{t('tokens.expired')}</Tag>}
    </>
  )
}

function useColumns(all: boolean): TableColumnsType<Token> {
  const { t, word } = useText()
  const time = useTime()
  const [now] = useState(Date.now)
  const remove = ({ id, description }: Token) => (
    <RemoveButton name={description} ask={t('tokens.deleteAsk', { name: description })} hint={t('tokens.deleteHint')} queryKey="tokens" remove={() => central.sessions.deleteToken({ id })} />
  )
  return [
    { key: 'description', title: t('tokens.description'), dataIndex: 'description' },
    ...(all ? [{ key: 'user', title: t('tokens.user'), dataIndex: 'user' }] : []),
    { key: 'role', title: t('tokens.role'), render: (_, { role }) => word('role', String(role)) },
    { key: 'created', title: t('tokens.createTime'), render: (_, { createTime }) => time(createTime) },
    { key: 'expires', title: t('tokens.expires'), render: (_, token) => <Expiry token={token} now={now} /> },
    { key: 'lastUse', title: t('tokens.lastUse'), render: (_, { lastUseTime }) => time(lastUseTime) },
    { key: 'delete', render: (_, token) => remove(token) },
  ]
}

function AllSwitch({ all, onChange }: { all: boolean; onChange: (all: boolean) => void }) {
  const { t } = useText()
  return (
    <Flex gap={8} align="center">
      <Switch checked={all} aria-label={t('tokens.all')} onChange={onChange} />
      {t('tokens.all')}
    </Flex>
  )
}

// Tokens are one's own API tokens, to admins also everyone's.
export function Tokens() {
  const { t } = useText()
  const { may } = useSession()
  const [all, setAll] = useState(false)
  const [making, setMaking] = useState(false)
  const [secret, setSecret] = useState<string>()
  const columns = useColumns(all)
  const query = useQuery({ queryKey: ['tokens', all], queryFn: () => central.sessions.listTokens({ all }) })
  return (
    <Card title={t('tokens.title')}>
      <Flex gap={16} wrap align="center" justify="space-between" style={{ marginBottom: 16 }}>
        <Typography.Text type="secondary">{t('tokens.hint')}</Typography.Text>
        <Flex gap={16} wrap align="center">
          {may(Role.ADMIN) && <AllSwitch all={all} onChange={setAll} />}
          <Button icon={<PlusOutlined />} onClick={() => setMaking(true)}>
            {t('tokens.new')}
          </Button>
        </Flex>
      </Flex>
      <Answer of={query}>
        {({ tokens }) => (
          <Table rowKey="id" size="small" dataSource={tokens} columns={columns} pagination={{ pageSize: 50, hideOnSinglePage: true, showSizeChanger: false }} scroll={{ x: 'max-content' }} locale={{ emptyText: <Nothing /> }} />
        )}
      </Answer>
      {making && <TokenForm onClose={() => setMaking(false)} onCreated={setSecret} />}
      {secret && <Secret title={t('tokens.secret')} hint={t('tokens.secretHint')} secret={secret} onClose={() => setSecret(undefined)} />}
    </Card>
  )
}
