import { PlusOutlined } from '@ant-design/icons'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button, Card, Flex, Switch, Table, type TableColumnsType, Tag, Typography } from 'antd'
import { Link, useNavigate } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { Action } from '../api/portcullis/v1/events_pb'
import type { Channel } from '../api/portcullis/v1/notifications_pb'
import { central } from '../central'
import { ActionTag } from '../events/ActionTag'
import { describe } from '../shared/errors'
import { PageHead } from '../shared/PageHead'
import { RemoveButton } from '../shared/RemoveButton'
import { Answer, Needs, Nothing } from '../shared/states'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { channelOf, channelURL, valuesOf } from './channel'

function OnSwitch({ channel }: { channel: Channel }) {
  const { t } = useText()
  const { message } = App.useApp()
  const queries = useQueryClient()
  const flip = useMutation({
    mutationFn: (enabled: boolean) => central.notifications.putChannel({ channel: channelOf({ ...valuesOf(channel), enabled }, channel.revision) }),
    onError: (error) => void message.error(describe(error, t)),
    onSettled: () => queries.invalidateQueries({ queryKey: ['notifications'] }),
  })
  return <Switch checked={channel.enabled} loading={flip.isPending} aria-label={t('notifications.switch', { name: channel.name })} onChange={(on) => flip.mutate(on)} />
}

function TestButton({ name }: { name: string }) {
  const { t } = useText()
  const { modal } = App.useApp()
  const queries = useQueryClient()
  const test = useMutation({
    mutationFn: () => central.notifications.testChannel({ name }),
    onSuccess: ({ error }) => void (error ? modal.error({ title: t('notifications.testBad'), content: error }) : modal.success({ title: t('notifications.testGood') })),
    onError: (error) => void modal.error({ title: t('notifications.testBad'), content: describe(error, t) }),
    onSettled: () => queries.invalidateQueries({ queryKey: ['notifications'] }),
  })
  return (
    <Button loading={test.isPending} aria-label={`${t('notifications.test')}: ${name}`} onClick={() => test.mutate()}>
      {t('notifications.test')}
    </Button>
  )
}

function Target({ channel: { target } }: { channel: Channel }) {
  const { t } = useText()
  if (!target.case) return null
  const where = target.case === 'webhook' ? target.value.url : `${target.value.address} (${target.value.protocol.toUpperCase()})`
  return (
    <Typography.Text ellipsis={{ tooltip: where }} style={{ maxWidth: 320 }}>
      {t(`notifications.${target.case}`)} <code>{where}</code>
    </Typography.Text>
  )
}

function Chosen({ channel: { actions, minSeverity } }: { channel: Channel }) {
  const { t, word } = useText()
  const both = actions.length === 0
  return (
    <Flex gap={4} wrap>
      {(both || actions.includes(Action.BLOCK)) && <ActionTag action={Action.BLOCK} />}
      {(both || actions.includes(Action.ALERT)) && <ActionTag action={Action.ALERT} />}
      {minSeverity && <Tag>{t('notifications.severe', { severity: word('severity', minSeverity) })}</Tag>}
    </Flex>
  )
}

function Actions({ name }: Channel) {
  const { t } = useText()
  return (
    <Flex gap={8}>
      <TestButton name={name} />
      <RemoveButton name={name} ask={t('notifications.deleteAsk', { name })} hint={t('notifications.deleteHint')} queryKey="notifications" remove={() => central.notifications.deleteChannel({ name })} />
    </Flex>
  )
}

function useColumns(): TableColumnsType<Channel> {
  const { t } = useText()
  const time = useTime()
  const open = ({ windowFrom, windowTo, timeZone }: Channel) =>
    windowFrom === windowTo ? t('notifications.wholeDay') : t('notifications.windowOf', { from: windowFrom, to: windowTo, zone: timeZone || 'UTC' })
  return [
    { key: 'enabled', title: t('notifications.enabled'), width: 70, render: (_, channel) => <OnSwitch channel={channel} /> },
    { key: 'name', title: t('notifications.name'), render: (_, { name }) => <Link to={channelURL(name)}>{name}</Link> },
    { key: 'target', title: t('notifications.target'), render: (_, channel) => <Target channel={channel} /> },
    { key: 'events', title: t('notifications.events'), render: (_, channel) => <Chosen channel={channel} /> },
    { key: 'window', title: t('notifications.window'), render: (_, channel) => open(channel) },
    {
      key: 'success',
      title: t('notifications.lastSuccess'),
      render: (_, { lastSuccessTime, lastError }) => (
        <Flex vertical>
          {time(lastSuccessTime)}
          <Typography.Text type="danger" ellipsis={{ tooltip: lastError }} style={{ maxWidth: 240 }}>
            {lastError}
          </Typography.Text>
        </Flex>
      ),
    },
    { key: 'actions', render: (_, channel) => <Actions {...channel} /> },
  ]
}

function Channels() {
  const { t } = useText()
  const navigate = useNavigate()
  const columns = useColumns()
  const query = useQuery({ queryKey: ['notifications'], queryFn: () => central.notifications.listChannels({}) })
  return (
    <>
      <PageHead title={t('app.notifications')}>
        <Button type="primary" icon={<PlusOutlined />} onClick={() => void navigate('/notifications/new')}>
          {t('notifications.new')}
        </Button>
      </PageHead>
      <Card>
        <Answer of={query}>
          {({ channels }) => <Table rowKey="name" size="small" dataSource={channels} columns={columns} pagination={false} scroll={{ x: 'max-content' }} locale={{ emptyText: <Nothing says={t('notifications.empty')} /> }} />}
        </Answer>
      </Card>
    </>
  )
}

export function NotificationsPage() {
  return (
    <Needs role={Role.ADMIN}>
      <Channels />
    </Needs>
  )
}
