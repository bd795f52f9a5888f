import { Button, Card, Flex, Input, Select, Table, type TableColumnsType, Tag, Typography } from 'antd'
import { useMemo } from 'react'
import { vocabulary } from '../policies/vocabulary'
import { useFilters } from '../shared/filters'
import { SeverityTag } from '../shared/SeverityTag'
import { Nothing } from '../shared/states'
import { Wide } from '../shared/Wide'
import { useText } from '../text'
import { chosen, type Finding, findingsOf, kinds, type Verdict } from './findings'

const filterNames = { kind: kinds, severity: vocabulary.severities, fixable: ['yes', 'no'], text: 'any' } as const

// What a kind's IDs are called; CVEs stay as they are.
const wordKinds = { vulnerabilities: 'cve', malware: 'malware', secrets: 'secret' }

function Detail({ finding: { kind, id, names, evidence } }: { finding: Finding }) {
  const { word } = useText()
  return (
    <div style={{ overflowWrap: 'anywhere', minWidth: 160, maxWidth: 300 }}>
      <div>{word(wordKinds[kind], id)}</div>
      {[...names, ...evidence].map((line) => (
        <Typography.Text key={line} type="secondary" style={{ display: 'block', fontSize: 12 }}>
          {line}
        </Typography.Text>
      ))}
    </div>
  )
}

function useColumns(): TableColumnsType<Finding> {
  const { t, word } = useText()
  const place = { overflowWrap: 'anywhere', minWidth: 140, maxWidth: 260 } as const
  return [
    { key: 'severity', title: t('images.severity'), render: (_, { severity }) => <SeverityTag severity={severity} /> },
    { key: 'kind', title: t('images.kind'), render: (_, { kind }) => t(`images.kind.${kind}`) },
    { key: 'finding', title: t('images.finding'), render: (_, finding) => <Detail finding={finding} /> },
    {
      key: 'place',
      title: t('images.place'),
      render: (_, { component, place: path }) => (
        <div style={place}>
          <div>{component}</div>
          {path && <code>{path}</code>}
        </div>
      ),
    },
    { key: 'fixed', title: t('images.fixed'), render: (_, { kind, fixedVersion }) => kind === 'vulnerabilities' && (fixedVersion || <Typography.Text type="secondary">{t('images.noFix')}</Typography.Text>) },
    {
      key: 'labels',
      title: t('images.labels'),
      render: (_, { labels }) => (
        <Flex gap={4} wrap style={{ maxWidth: 180 }}>
          {labels.map((label) => (
            <Tag key={label}>{word('label', label)}</Tag>
          ))}
        </Flex>
      ),
    },
  ]
}

function FilterBar({ filters, set }: Pick<ReturnType<typeof useFilters<keyof typeof filterNames>>, 'filters' | 'set'>) {
  const { t, word } = useText()
  const choice = (name: 'kind' | 'severity', label: string, options: { value: string; label: string }[]) => (
    <Select mode="multiple" allowClear aria-label={label} placeholder={label} value={filters[name]} options={options} onChange={(values: string[]) => set({ [name]: values })} style={{ minWidth: 160 }} />
  )
  const fixable = [
    { value: 'yes', label: t('images.fixable.yes') },
    { value: 'no', label: t('images.fixable.no') },
  ]
  return (
    <Flex gap={8} wrap style={{ marginBottom: 16 }}>
      {choice('kind', t('images.kind'), kinds.map((value) => ({ value, label: t(`images.kind.${value}`) })))}
      {choice('severity', t('images.severity'), vocabulary.severities.map((value) => ({ value, label: word('severity', value) })))}
      <Select allowClear aria-label={t('images.fixable')} placeholder={t('images.fixable')} value={filters.fixable[0]} options={fixable} onChange={(value?: string) => set({ fixable: value ? [value] : [] })} style={{ width: 160 }} />
      <Input.Search key={filters.text.join()} allowClear maxLength={200} defaultValue={filters.text[0]} aria-label={t('images.text')} placeholder={t('images.text')} onSearch={(text) => set({ text: [text] })} style={{ width: 260 }} />
    </Flex>
  )
}

// Findings lists what a verdict has found. The whole verdict is here already, so it is filtered here.
export function Findings({ verdict }: { verdict: Verdict }) {
  const { t } = useText()
  const { filters, any, set, clear } = useFilters(filterNames)
  const columns = useColumns()
  const all = useMemo(() => findingsOf(verdict), [verdict])
  const shown = chosen(all, filters)
  const empty = any ? (
    <Nothing says={t('shared.noMatch')}>
      <Button onClick={clear}>{t('shared.clear')}</Button>
    </Nothing>
  ) : (
    <Nothing says={t('images.nothingFound')} />
  )
  return (
    <Card title={t('images.findings')} style={{ marginTop: 16 }}>
      <FilterBar filters={filters} set={set} />
      <Wide label={t('images.findings')}>
        <Table
          rowKey="key"
          size="small"
          dataSource={shown}
          columns={columns}
          // At the start, which is always in sight.
          pagination={{ placement: ['bottomStart'], pageSize: 20, hideOnSinglePage: true, showSizeChanger: false, showTotal: (count) => t('shared.total', { count }) }}
          locale={{ emptyText: empty }}
        />
      </Wide>
    </Card>
  )
}
