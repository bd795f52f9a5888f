import { create } from '@bufbuild/protobuf'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { Action, type EventFilter, EventFilterSchema, EventOrder } from '../api/portcullis/v1/events_pb'
import type { Filters } from '../shared/filters'

// sorts are the orders of the list, by the names they have in URLs.
const sorts = {
  '-last_time': EventOrder.LAST_TIME_DESC,
  last_time: EventOrder.LAST_TIME_ASC,
  '-count': EventOrder.COUNT_DESC,
  count: EventOrder.COUNT_ASC,
}

export type Sort = keyof typeof sorts

const actions = { block: Action.BLOCK, alert: Action.ALERT }

// filterNames are the filters of the URL: from and to are days of the reader's zone, both included; days
// counts back from today.
export const filterNames = {
  action: Object.keys(actions),
  template: ['RiskyImage', 'PrivilegedStart'],
  severity: ['Critical', 'High', 'Medium', 'Low', 'Negligible', 'Unknown'],
  policy: 'any',
  node: 'any',
  cluster: 'any',
  namespace: 'any',
  address: 'any',
  image: 'any',
  imageID: 'any',
  pod: 'any',
  container: 'any',
  finding: 'any',
  from: 'any',
  to: 'any',
  days: 'any',
  sort: Object.keys(sorts),
} as const

export type FilterName = keyof typeof filterNames

// toSort is the newest first, unless the URL says otherwise.
export function toSort(filters: Filters<FilterName>) {
  const sort = (filters.sort[0] ?? '-last_time') as Sort
  return { sort, order: sorts[sort] }
}

function midnight(date: Date, shift: number) {
  return timestampFromDate(new Date(date.getFullYear(), date.getMonth(), date.getDate() + shift))
}

// dayOf reads 2026-11-23; anything else is no day.
function dayOf(text?: string) {
  const parts = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text ?? '')
  return parts ? new Date(Number(parts[1]), Number(parts[2]) - 1, Number(parts[3])) : undefined
}

// toEventFilter asks central for what the URL says.
export function toEventFilter(filters: Filters<FilterName>, now: Date): EventFilter {
  const one = (name: FilterName) => filters[name][0] ?? ''
  const days = /^\d{1,3}$/.test(one('days')) ? Number(one('days')) : 0
  const from = dayOf(one('from'))
  const to = dayOf(one('to'))
  return create(EventFilterSchema, {
    actions: filters.action.map((name) => actions[name as keyof typeof actions]),
    templates: filters.template,
    severities: filters.severity,
    policies: filters.policy,
    nodes: filters.node,
    clusters: filters.cluster,
    namespaces: filters.namespace,
    address: one('address'),
    image: one('image'),
    imageId: one('imageID'),
    pod: one('pod'),
    container: one('container'),
    finding: one('finding'),
    from: from ? midnight(from, 0) : days > 0 ? midnight(now, 1 - days) : undefined,
    to: to && midnight(to, 1),
  })
}
