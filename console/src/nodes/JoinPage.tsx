import { create } from '@bufbuild/protobuf'
import { DurationSchema } from '@bufbuild/protobuf/wkt'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Alert, App, Button, Card, Flex, Form, Input, InputNumber, Select, Table, type TableColumnsType, Typography } from 'antd'
import { Role } from '../api/portcullis/v1/access_pb'
import type { CreateJoinTokenResponse, JoinToken } from '../api/portcullis/v1/nodes_pb'
import { central } from '../central'
import { actorName } from '../shared/actors'
import { describe } from '../shared/errors'
import { PageHead } from '../shared/PageHead'
import { Answer, Failure, Needs, Nothing } from '../shared/states'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { commandOf } from './command'

const hour = 3600

// How long a token may be used, in hours.
const lifetimes = [1, 24, 7 * 24, 30 * 24]

interface Wanted {
  description?: string
  hours: number
  uses: number
}

const maxDescription = 256
const maxUses = 10_000

function Created({ made: { command, secret, token } }: { made: CreateJoinTokenResponse }) {
  const { t } = useText()
  const time = useTime()
  const line = { margin: 0, overflowWrap: 'anywhere', fontFamily: 'monospace' } as const
  return (
    <Alert
      type="success"
      showIcon
      title={t('nodes.made', { time: time(token?.expireTime) })}
      description={
        <Flex vertical gap={12}>
          <div>
            {t('nodes.command')}
            <Typography.Paragraph copyable style={line}>
              {commandOf(command, secret)}
            </Typography.Paragraph>
          </div>
          <div>
            {t('nodes.token')}
            <Typography.Paragraph copyable style={line}>
              {secret}
            </Typography.Paragraph>
          </div>
          {t('nodes.commandHint')}
        </Flex>
      }
      style={{ marginTop: 16 }}
    />
  )
}

function NewToken() {
  const { t } = useText()
  const queries = useQueryClient()
  const make = useMutation({
    mutationFn: ({ description = '', hours, uses }: Wanted) =>
      central.nodes.createJoinToken({ description, uses, ttl: create(DurationSchema, { seconds: BigInt(hours * hour) }) }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['nodes', 'tokens'] }),
  })
  const options = lifetimes.map((value) => ({ value, label: value < 48 ? t('nodes.hours', { count: value }) : t('nodes.days', { count: value / 24 }) }))
  return (
    <Card title={t('nodes.newToken')}>
      <Form<Wanted> layout="vertical" initialValues={{ hours: 24, uses: 1 }} onFinish={(wanted) => make.mutate(wanted)} style={{ maxWidth: 640 }}>
        <Form.Item name="description" label={t('nodes.description')} extra={t('nodes.descriptionHint')}>
          <Input count={{ show: true, max: maxDescription }} maxLength={maxDescription} />
        </Form.Item>
        <Flex gap="0 16px" wrap>
          <Form.Item name="hours" label={t('nodes.lifetime')}>
            <Select options={options} style={{ width: 180 }} />
          </Form.Item>
          <Form.Item name="uses" label={t('nodes.uses')} rules={[{ required: true, message: t('nodes.usesHint') }]}>
            <InputNumber min={1} max={maxUses} precision={0} style={{ width: 180 }} />
          </Form.Item>
        </Flex>
        <Button type="primary" htmlType="submit" loading={make.isPending}>
          {t('nodes.make')}
        </Button>
      </Form>
      {make.isError && (
        <div style={{ marginTop: 16 }}>
          <Failure error={make.error} />
        </div>
      )}
      <div aria-live="polite">{make.data && <Created made={make.data} />}</div>
    </Card>
  )
}

function DeleteButton({ token: { id, description } }: { token: JoinToken }) {
  const { t } = useText()
  const { modal, message } = App.useApp()
  const queries = useQueryClient()
  const remove = useMutation({
    mutationFn: () => central.nodes.deleteJoinToken({ id }),
    onError: (error) => void message.error(describe(error, t)),
    onSettled: () => queries.invalidateQueries({ queryKey: ['nodes', 'tokens'] }),
  })
  const name = description || id
  const ask = () =>
    modal.confirm({
      title: t('nodes.deleteAsk', { name }),
      content: t('nodes.deleteHint'),
      okText: t('shared.delete'),
      okButtonProps: { danger: true },
      cancelText: t('shared.cancel'),
      onOk: () => remove.mutate(),
    })
  return (
    <Button danger size="small" autoInsertSpace={false} loading={remove.isPending} aria-label={t('nodes.deleteName', { name })} onClick={ask}>
      {t('shared.delete')}
    </Button>
  )
}

function Tokens() {
  const { t, locale } = useText()
  const time = useTime()
  const query = useQuery({ queryKey: ['nodes', 'tokens'], queryFn: () => central.nodes.listJoinTokens({}) })
  const columns: TableColumnsType<JoinToken> = [
    { key: 'description', title: t('nodes.description'), render: (_, { id, description }) => <div style={{ overflowWrap: 'anywhere', minWidth: 160, maxWidth: 400 }}>{description || <code>{id}</code>}</div> },
    { key: 'uses', title: t('nodes.usesLeft'), align: 'right', render: (_, { usesLeft }) => usesLeft.toLocaleString(locale) },
    { key: 'expires', title: t('nodes.expires'), render: (_, { expireTime }) => time(expireTime) },
    { key: 'created', title: t('nodes.created'), render: (_, { createTime, createdBy }) => t('nodes.by', { time: time(createTime), name: actorName(createdBy) }) },
    { key: 'delete', render: (_, token) => <DeleteButton token={token} /> },
  ]
  return (
    <Card title={t('nodes.tokens')} style={{ marginTop: 16 }}>
      <Answer of={query}>
        {({ tokens }) => (
          <Table rowKey="id" size="small" dataSource={tokens} columns={columns} pagination={{ pageSize: 20, hideOnSinglePage: true, showSizeChanger: false }} scroll={{ x: 'max-content' }} locale={{ emptyText: <Nothing says={t('nodes.noTokens')} /> }} />
        )}
      </Answer>
    </Card>
  )
}

export function JoinPage() {
  const { t } = useText()
  return (
    <Needs role={Role.ADMIN}>
      <PageHead title={t('nodes.join')} />
      <NewToken />
      <Tokens />
    </Needs>
  )
}
