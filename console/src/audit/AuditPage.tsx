import type { JsonObject } from '@bufbuild/protobuf'
import { Card, Flex, Input, Select, type TableColumnsType } from 'antd'
import { stringify } from 'yaml'
import { type AuditEntry, Role } from '../api/portcullis/v1/access_pb'
import { central } from '../central'
import { actorName } from '../shared/actors'
import { Diff } from '../shared/Diff'
import { useFilters } from '../shared/filters'
import { List } from '../shared/List'
import { narrow } from '../shared/narrow'
import { PageHead } from '../shared/PageHead'
import { usePages } from '../shared/pages'
import { Needs } from '../shared/states'
import { useTime } from '../shared/time'
import { useText } from '../text'

const kinds = ['policy', 'exemption', 'report', 'node', 'join-token', 'user', 'token', 'notification', 'session']

const filterNames = { kind: kinds, actor: 'any', name: 'any' } as const

function useColumns(): TableColumnsType<AuditEntry> {
  const { t, word } = useText()
  const time = useTime()
  return [
    { key: 'time', title: t('audit.time'), render: (_, entry) => time(entry.time) },
    { key: 'actor', title: t('audit.actor'), ...narrow(160), render: (_, { actor }) => actorName(actor) },
    { key: 'address', title: t('audit.address'), dataIndex: 'address' },
    { key: 'method', title: t('audit.method'), render: (_, { method }) => <code>{method}</code> },
    { key: 'kind', title: t('audit.kind'), render: (_, { kind }) => word('kind', kind) },
    { key: 'name', title: t('audit.name'), ...narrow(240), dataIndex: 'name' },
  ]
}

function written(value?: JsonObject) {
  return value ? stringify(value) : ''
}

function Log() {
  const { t, word } = useText()
  const columns = useColumns()
  const { filters, any, set, clear } = useFilters(filterNames)
  const request = { kind: filters.kind[0] ?? '', actor: filters.actor[0] ?? '', name: filters.name[0] ?? '' }
  const pages = usePages(['audit', request], (pageToken) => central.audit.listAuditEntries({ ...request, pageToken, pageSize: 50 }))
  const search = (name: 'actor' | 'name', label: string) => (
    <Input.Search key={name + request[name]} allowClear maxLength={200} aria-label={label} placeholder={label} defaultValue={request[name]} onSearch={(text) => set({ [name]: [text] })} style={{ width: 220 }} />
  )
  const options = kinds.map((value) => ({ value, label: word('kind', value) }))
  return (
    <Card>
      <Flex gap={8} wrap style={{ marginBottom: 16 }}>
        <Select allowClear aria-label={t('audit.kind')} placeholder={t('audit.kind')} value={filters.kind[0]} options={options} onChange={(kind?: string) => set({ kind: kind ? [kind] : [] })} style={{ width: 180 }} />
        {search('actor', t('audit.actor'))}
        {search('name', t('audit.name'))}
      </Flex>
      <List
        pages={pages}
        rows={({ entries }) => entries}
        rowKey="id"
        columns={columns}
        any={any}
        clear={clear}
        expandable={{
          expandedRowRender: ({ before, after }) => <Diff before={written(before)} after={written(after)} />,
          rowExpandable: ({ before, after }) => before !== undefined || after !== undefined,
        }}
      />
    </Card>
  )
}

export function AuditPage() {
  const { t } = useText()
  return (
    <Needs role={Role.ADMIN}>
      <PageHead title={t('app.audit')} />
      <Log />
    </Needs>
  )
}
