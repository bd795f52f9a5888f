import { durationMs } from '@bufbuild/protobuf/wkt'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Alert, App, Button, Card, Descriptions, Flex } from 'antd'
import type { ReactNode } from 'react'
import { Link, useNavigate, useParams } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { type Node, NodeState } from '../api/portcullis/v1/nodes_pb'
import { central } from '../central'
import { useSession } from '../session/session'
import { describe } from '../shared/errors'
import { PageHead } from '../shared/PageHead'
import { Answer } from '../shared/states'
import { useTime } from '../shared/time'
import { type TextKey, useText } from '../text'
import { NodeStateTag } from './NodeStateTag'

// Nodes change by themselves.
const refetchInterval = 15_000

// A clock that is off by more than this makes times of events hard to believe.
const muchSkew = 60_000

function RemoveButton({ node: { id, name } }: { node: Node }) {
  const { t } = useText()
  const { modal, message } = App.useApp()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const remove = useMutation({
    mutationFn: () => central.nodes.removeNode({ id }),
    onSuccess: () => {
      queries.removeQueries({ queryKey: ['nodes', 'one', id] })
      void queries.invalidateQueries()
      void message.success(t('nodes.removed', { name }))
      void navigate('/nodes')
    },
    onError: (error) => void message.error(describe(error, t)),
  })
  const ask = () =>
    modal.confirm({
      title: t('nodes.removeAsk', { name }),
      content: (
        <ul style={{ margin: 0, paddingInlineStart: 16 }}>
          <li>{t('nodes.removeEnds')}</li>
          <li>{t('nodes.removeKeeps')}</li>
          <li>{t('nodes.removeBack')}</li>
        </ul>
      ),
      okText: t('nodes.remove'),
      okButtonProps: { danger: true },
      cancelText: t('shared.cancel'),
      onOk: () => remove.mutate(),
    })
  return (
    <Button danger loading={remove.isPending} onClick={ask}>
      {t('nodes.remove')}
    </Button>
  )
}

// Trouble says what is wrong with the node and what it means.
function Trouble({ node: { state, rejection, lastContactTime, clockSkew } }: { node: Node }) {
  const { t, locale } = useText()
  const time = useTime()
  const skew = clockSkew ? durationMs(clockSkew) : 0
  const seconds = new Intl.NumberFormat(locale, { style: 'unit', unit: 'second', unitDisplay: 'long', signDisplay: 'always', maximumFractionDigits: 0 })
  return (
    <Flex vertical gap={8} style={{ marginBottom: 16 }}>
      {state === NodeState.REJECTED && <Alert type="error" showIcon title={t('nodes.rejected')} description={<span style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>{rejection}</span>} />}
      {state === NodeState.BEHIND && <Alert type="info" showIcon title={t('nodes.behind')} />}
      {state === NodeState.SILENT && <Alert type="warning" showIcon title={t('nodes.silent', { time: time(lastContactTime) })} description={t('nodes.silentHint')} />}
      {Math.abs(skew) > muchSkew && <Alert type="warning" showIcon title={t('nodes.skewed', { seconds: seconds.format(skew / 1000) })} />}
    </Flex>
  )
}

function Facts({ node }: { node: Node }) {
  const { t, locale } = useText()
  const time = useTime()
  const rows: [TextKey, ReactNode][] = [
    ['nodes.state', <NodeStateTag key="state" state={node.state} />],
    ['nodes.bundle', t('nodes.bundleOf', { bundle: String(node.bundle), newest: String(node.newestBundle) })],
    ['nodes.contact', time(node.lastContactTime)],
    ['nodes.cluster', node.cluster],
    ['nodes.addresses', node.addresses.join(', ')],
    ['nodes.version', node.version],
    ['nodes.runtime', node.runtimeVersion],
    ['nodes.kernel', node.kernelVersion],
    ['nodes.images', <Link key="images" to={`/images?node=${encodeURIComponent(node.id)}`}>{node.imageCount.toLocaleString(locale)}</Link>],
    ['app.events', <Link key="events" to={`/events?node=${encodeURIComponent(node.name)}`}>{t('nodes.events')}</Link>],
    ['nodes.joined', time(node.joinTime)],
    ['nodes.certificate', time(node.certificateExpireTime)],
    ['nodes.id', <code key="id">{node.id}</code>],
  ]
  const items = rows.filter(([, children]) => children).map(([key, children]) => ({ key, label: t(key), children }))
  return <Descriptions column={{ xs: 1, lg: 2 }} items={items} styles={{ content: { overflowWrap: 'anywhere' } }} />
}

export function NodePage() {
  const { id = '' } = useParams()
  const { may } = useSession()
  const query = useQuery({ queryKey: ['nodes', 'one', id], queryFn: () => central.nodes.getNode({ id }), refetchInterval })
  return (
    <Answer of={query}>
      {({ node }) => (
        <>
          <PageHead title={node!.name}>{may(Role.ADMIN) && <RemoveButton node={node!} />}</PageHead>
          <Trouble node={node!} />
          <Card>
            <Facts node={node!} />
          </Card>
        </>
      )}
    </Answer>
  )
}
