import { PlusOutlined } from '@ant-design/icons'
import { Button, Card, Flex, Input, Select, type TableColumnsType } from 'antd'
import { Link, useNavigate } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { type Exemption, ExemptionState } from '../api/portcullis/v1/policies_pb'
import { central } from '../central'
import { list } from '../documents/draft'
import { useSession } from '../session/session'
import { useFilters } from '../shared/filters'
import { List } from '../shared/List'
import { narrow } from '../shared/narrow'
import { PageHead } from '../shared/PageHead'
import { usePages } from '../shared/pages'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { DeleteButton } from './DeleteButton'
import { exemptionURL } from './links'
import { StateTag } from './StateTag'

const states = { active: ExemptionState.ACTIVE, expiring: ExemptionState.EXPIRING, expired: ExemptionState.EXPIRED }

type StateName = keyof typeof states

const filterNames = { search: 'any', state: Object.keys(states) } as const

// Some shows the first of a list, which may be long.
function Some({ of, field }: { of: Exemption; field: 'images' | 'findings' | 'policies' }) {
  const { t } = useText()
  const [first, ...more] = list(of.spec, [field])
  if (!first) return t('exemptions.all')
  return <span title={[first, ...more].join('\n')}>{more.length > 0 ? t('exemptions.more', { first, count: more.length }) : first}</span>
}

function useColumns(): TableColumnsType<Exemption> {
  const { t } = useText()
  const { may } = useSession()
  const time = useTime()
  return [
    { key: 'name', title: t('exemptions.name'), ...narrow(200), render: (_, { name }) => <Link to={exemptionURL(name)}>{name}</Link> },
    { key: 'state', title: t('exemptions.state'), width: 180, render: (_, exemption) => <StateTag exemption={exemption} /> },
    { key: 'expires', title: t('exemptions.expires'), width: 190, render: (_, { expireTime }) => time(expireTime) },
    { key: 'reason', title: t('exemptions.reason'), ...narrow(200), dataIndex: 'reason' },
    { key: 'author', title: t('exemptions.author'), ...narrow(160), dataIndex: 'author' },
    { key: 'images', title: t('exemptions.images'), ...narrow(200), render: (_, exemption) => <Some of={exemption} field="images" /> },
    { key: 'findings', title: t('exemptions.findings'), ...narrow(200), render: (_, exemption) => <Some of={exemption} field="findings" /> },
    { key: 'policies', title: t('exemptions.policies'), ...narrow(200), render: (_, exemption) => <Some of={exemption} field="policies" /> },
    ...(may(Role.EDITOR) ? [{ key: 'delete', width: 110, render: (_: unknown, exemption: Exemption) => <DeleteButton exemption={exemption} /> }] : []),
  ]
}

function FilterBar({ filters, set }: Pick<ReturnType<typeof useFilters<keyof typeof filterNames>>, 'filters' | 'set'>) {
  const { t } = useText()
  const options = filterNames.state.map((value) => ({ value, label: t(`exemptions.state.${value as StateName}`) }))
  return (
    <Flex gap={8} wrap style={{ marginBottom: 16 }}>
      <Input.Search key={filters.search[0]} allowClear maxLength={200} defaultValue={filters.search[0]} aria-label={t('shared.search')} placeholder={t('shared.search')} onSearch={(text) => set({ search: [text] })} style={{ width: 260 }} />
      <Select mode="multiple" allowClear aria-label={t('exemptions.state')} placeholder={t('exemptions.state')} value={filters.state} options={options} onChange={(state) => set({ state })} style={{ minWidth: 220 }} />
    </Flex>
  )
}

export function ExemptionsPage() {
  const { t } = useText()
  const { may } = useSession()
  const navigate = useNavigate()
  const { filters, any, set, clear } = useFilters(filterNames)
  const columns = useColumns()
  const request = { search: filters.search[0] ?? '', states: filters.state.map((name) => states[name as StateName]) }
  const pages = usePages(['policies', 'exemptions', request], (pageToken) => central.policies.listExemptions({ ...request, pageToken, pageSize: 50 }))
  return (
    <>
      <PageHead title={t('app.exemptions')}>
        {may(Role.EDITOR) && (
          <Button type="primary" icon={<PlusOutlined />} onClick={() => void navigate('/exemptions/new')}>
            {t('exemptions.new')}
          </Button>
        )}
      </PageHead>
      <Card>
        <FilterBar filters={filters} set={set} />
        <List pages={pages} rows={({ exemptions }) => exemptions} rowKey="name" columns={columns} any={any} clear={clear} />
      </Card>
    </>
  )
}
