import { PlusOutlined } from '@ant-design/icons'
import { Button, Card, Flex, Input, Select, type TableColumnsType } from 'antd'
import { Link, useNavigate } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { type Policy, PolicyState } from '../api/portcullis/v1/policies_pb'
import { central } from '../central'
import { useSession } from '../session/session'
import { actorName } from '../shared/actors'
import { useFilters } from '../shared/filters'
import { List } from '../shared/List'
import { narrow } from '../shared/narrow'
import { PageHead } from '../shared/PageHead'
import { usePages } from '../shared/pages'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { list } from '../documents/draft'
import { EnabledSwitch } from './EnabledSwitch'
import { policyURL } from './links'
import { StateTag } from './StateTag'

const states = { disabled: PolicyState.DISABLED, observing: PolicyState.OBSERVING, blocking: PolicyState.BLOCKING }

type StateName = keyof typeof states

const filterNames = { search: 'any', template: ['RiskyImage', 'PrivilegedStart'], state: Object.keys(states) } as const

function Scope({ policy }: { policy: Policy }) {
  const { t } = useText()
  const select = list(policy.spec, ['scope', 'images', 'select'])
  return select.length > 0 ? t('policies.scope.selected', { count: select.length }) : t('policies.scope.all')
}

function useColumns(): TableColumnsType<Policy> {
  const { t, word } = useText()
  const time = useTime()
  return [
    { key: 'enabled', title: t('policies.enabled'), width: 70, render: (_, policy) => <EnabledSwitch policy={policy} /> },
    { key: 'name', title: t('policies.name'), ...narrow(240), render: (_, { name }) => <Link to={policyURL(name)}>{name}</Link> },
    { key: 'template', title: t('policies.template'), render: (_, { template }) => word('template', template) },
    { key: 'state', title: t('policies.state'), render: (_, policy) => <StateTag policy={policy} /> },
    { key: 'scope', title: t('policies.scope'), render: (_, policy) => <Scope policy={policy} /> },
    {
      key: 'hits',
      title: t('policies.hits'),
      render: (_, { name, blocked, alerted }) => (
        <Link to={`/events?policy=${encodeURIComponent(name)}&days=7`}>{t('policies.hitsOf', { blocked: Number(blocked), alerted: Number(alerted) })}</Link>
      ),
    },
    { key: 'changed', title: t('policies.changed'), render: (_, policy) => t('policies.by', { time: time(policy.updateTime), name: actorName(policy.updatedBy) }) },
  ]
}

function FilterBar({ filters, set }: Pick<ReturnType<typeof useFilters<keyof typeof filterNames>>, 'filters' | 'set'>) {
  const { t, word } = useText()
  const stateOptions = [
    { value: 'disabled', label: t('policies.state.disabled') },
    { value: 'observing', label: t('policies.state.observingShort') },
    { value: 'blocking', label: t('policies.state.blocking') },
  ]
  return (
    <Flex gap={8} wrap style={{ marginBottom: 16 }}>
      <Input.Search allowClear maxLength={200} defaultValue={filters.search[0]} aria-label={t('shared.search')} placeholder={t('shared.search')} onSearch={(text) => set({ search: [text] })} style={{ width: 260 }} />
      <Select
        allowClear
        aria-label={t('policies.template')}
        placeholder={t('policies.template')}
        value={filters.template[0]}
        options={filterNames.template.map((value) => ({ value, label: word('template', value) }))}
        onChange={(value?: string) => set({ template: value ? [value] : [] })}
        style={{ width: 190 }}
      />
      <Select mode="multiple" allowClear aria-label={t('policies.state')} placeholder={t('policies.state')} value={filters.state} options={stateOptions} onChange={(state) => set({ state })} style={{ minWidth: 190 }} />
    </Flex>
  )
}

export function PoliciesPage() {
  const { t } = useText()
  const { may } = useSession()
  const navigate = useNavigate()
  const { filters, any, set, clear } = useFilters(filterNames)
  const columns = useColumns()
  const { search, template, state } = filters
  const request = { search: search[0] ?? '', template: template[0] ?? '', states: state.map((name) => states[name as StateName]) }
  const pages = usePages(['policies', 'list', request], (pageToken) => central.policies.listPolicies({ ...request, pageToken, pageSize: 50 }))
  return (
    <>
      <PageHead title={t('app.policies')}>
        {may(Role.EDITOR) && (
          <Button type="primary" icon={<PlusOutlined />} onClick={() => void navigate('/policies/new')}>
            {t('policies.new')}
          </Button>
        )}
      </PageHead>
      <Card>
        <FilterBar filters={filters} set={set} />
        <List pages={pages} rows={({ policies }) => policies} rowKey="name" columns={columns} any={any} clear={clear} />
      </Card>
    </>
  )
}
