import { PlusOutlined } from '@ant-design/icons'
import { Button, Card, Flex, Input, Select, type TableColumnsType, Typography } from 'antd'
import { Link, useNavigate } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { type Node, NodeState } from '../api/portcullis/v1/nodes_pb'
import { central } from '../central'
import { useSession } from '../session/session'
import { useFilters } from '../shared/filters'
import { List } from '../shared/List'
import { PageHead } from '../shared/PageHead'
import { usePages } from '../shared/pages'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { nodeURL } from './links'
import { NodeStateTag } from './NodeStateTag'

const states = { 'in-force': NodeState.IN_FORCE, behind: NodeState.BEHIND, rejected: NodeState.REJECTED, silent: NodeState.SILENT }

type StateName = keyof typeof states

const filterNames = { search: 'any', state: Object.keys(states), cluster: 'any' } as const

// Nodes change by themselves.
const refetchInterval = 15_000

function useColumns(): TableColumnsType<Node> {
  const { t, locale } = useText()
  const time = useTime()
  return [
    { key: 'name', title: t('nodes.name'), render: (_, { id, name }) => <Link to={nodeURL(id)}>{name}</Link> },
    {
      key: 'state',
      title: t('nodes.state'),
      render: (_, { state, rejection }) => (
        <>
          <NodeStateTag state={state} />
          {state === NodeState.REJECTED && (
            <Typography.Paragraph type="danger" ellipsis={{ rows: 2 }} title={rejection} style={{ margin: 0, maxWidth: 320 }}>
              {rejection}
            </Typography.Paragraph>
          )}
        </>
      ),
    },
    { key: 'bundle', title: t('nodes.bundle'), render: (_, { bundle, newestBundle }) => t('nodes.bundleOf', { bundle: String(bundle), newest: String(newestBundle) }) },
    { key: 'contact', title: t('nodes.contact'), render: (_, { lastContactTime }) => time(lastContactTime) },
    { key: 'cluster', title: t('nodes.cluster'), dataIndex: 'cluster' },
    { key: 'addresses', title: t('nodes.addresses'), render: (_, { addresses }) => addresses.join(', ') },
    { key: 'version', title: t('nodes.version'), dataIndex: 'version' },
    { key: 'runtime', title: t('nodes.runtime'), dataIndex: 'runtimeVersion' },
    { key: 'images', title: t('nodes.images'), align: 'right', render: (_, { id, imageCount }) => <Link to={`/images?node=${encodeURIComponent(id)}`}>{imageCount.toLocaleString(locale)}</Link> },
  ]
}

function FilterBar({ filters, set }: Pick<ReturnType<typeof useFilters<keyof typeof filterNames>>, 'filters' | 'set'>) {
  const { t } = useText()
  const options = (Object.keys(states) as StateName[]).map((value) => ({ value, label: t(`nodes.state.${value}`) }))
  return (
    <Flex gap={8} wrap style={{ marginBottom: 16 }}>
      <Input.Search key={filters.search.join()} allowClear maxLength={200} defaultValue={filters.search[0]} aria-label={t('nodes.search')} placeholder={t('nodes.search')} onSearch={(text) => set({ search: [text] })} style={{ width: 260 }} />
      <Select mode="multiple" allowClear aria-label={t('nodes.state')} placeholder={t('nodes.state')} value={filters.state} options={options} onChange={(state: string[]) => set({ state })} style={{ minWidth: 180 }} />
      <Select mode="tags" open={false} allowClear aria-label={t('nodes.cluster')} placeholder={t('nodes.cluster')} value={filters.cluster} onChange={(cluster: string[]) => set({ cluster })} style={{ minWidth: 180 }} />
    </Flex>
  )
}

export function NodesPage() {
  const { t } = useText()
  const { may } = useSession()
  const navigate = useNavigate()
  const { filters, any, set, clear } = useFilters(filterNames)
  const columns = useColumns()
  const { search, state, cluster } = filters
  const request = { search: search[0] ?? '', states: state.map((name) => states[name as StateName]), clusters: cluster }
  const pages = usePages(['nodes', 'list', request], (pageToken) => central.nodes.listNodes({ ...request, pageToken, pageSize: 50 }), refetchInterval)
  return (
    <>
      <PageHead title={t('app.nodes')}>
        {may(Role.ADMIN) && (
          <Button type="primary" icon={<PlusOutlined />} onClick={() => void navigate('/nodes/join')}>
            {t('nodes.join')}
          </Button>
        )}
      </PageHead>
      <Card>
        <FilterBar filters={filters} set={set} />
        <List pages={pages} rows={({ nodes }) => nodes} rowKey="id" columns={columns} any={any} clear={clear} none={t('nodes.none')} />
      </Card>
    </>
  )
}
