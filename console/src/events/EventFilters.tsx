import { DatePicker, Flex, Input, Select } from 'antd'
import dayjs from 'dayjs'
import type { Filters } from '../shared/filters'
import { SuggestSelect } from '../shared/SuggestSelect'
import { type TextKey, useText } from '../text'
import { type FilterName, filterNames } from './filter'
import { suggestions } from './suggestions'

interface Props {
  filters: Filters<FilterName>
  set: (changed: Partial<Filters<FilterName>>) => void
}

const format = 'YYYY-MM-DD'

function Range({ filters, set }: Props) {
  const { t } = useText()
  const days = Number(filters.days[0])
  const from = filters.from[0] ? dayjs(filters.from[0], format) : days > 0 ? dayjs().subtract(days - 1, 'day') : null
  const to = filters.to[0] ? dayjs(filters.to[0], format) : from && dayjs()
  return (
    <DatePicker.RangePicker
      aria-label={t('events.range')}
      value={[from, to]}
      onChange={(range) => set({ days: [], from: range?.[0] ? [range[0].format(format)] : [], to: range?.[1] ? [range[1].format(format)] : [] })}
    />
  )
}

export function EventFilters({ filters, set }: Props) {
  const { t, word } = useText()
  const actions = [
    { value: 'block', label: t('events.block') },
    { value: 'alert', label: t('events.alert') },
  ]
  const choice = (name: FilterName, label: TextKey, options: { value: string; label: string }[]) => (
    <Select
      mode="multiple"
      allowClear
      aria-label={t(label)}
      placeholder={t(label)}
      value={filters[name]}
      options={options}
      onChange={(values: string[]) => set({ [name]: values })}
      style={{ minWidth: 150 }}
    />
  )
  const suggest = (name: keyof typeof suggestions, label: TextKey) => (
    <SuggestSelect
      suggestions={suggestions[name]}
      asTyped={(text) => t('events.asTyped', { text })}
      allowClear
      aria-label={t(label)}
      placeholder={t(label)}
      value={filters[name]}
      onChange={(values) => set({ [name]: values })}
      style={{ minWidth: 150 }}
    />
  )
  const search = (name: FilterName, label: TextKey) => (
    <Input.Search key={name + filters[name].join()} allowClear maxLength={200} aria-label={t(label)} placeholder={t(label)} defaultValue={filters[name][0]} onSearch={(text) => set({ [name]: [text] })} style={{ width: 190 }} />
  )
  const words = (kind: string, names: readonly string[]) => names.map((value) => ({ value, label: word(kind, value) }))
  return (
    <Flex gap={8} wrap style={{ marginBottom: 16 }}>
      <Range filters={filters} set={set} />
      {choice('action', 'events.action', actions)}
      {choice('template', 'events.type', words('template', filterNames.template))}
      {choice('severity', 'events.severity', words('severity', filterNames.severity))}
      {suggest('policy', 'events.policy')}
      {suggest('node', 'events.node')}
      {suggest('cluster', 'events.cluster')}
      {suggest('namespace', 'events.namespace')}
      {search('address', 'events.address')}
      {search('image', 'events.image')}
      {search('imageID', 'events.imageID')}
      {search('pod', 'events.pod')}
      {search('container', 'events.container')}
      {search('finding', 'events.findingHint')}
    </Flex>
  )
}
