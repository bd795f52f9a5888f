import { timestampDate } from '@bufbuild/protobuf/wkt'
import { Action, type Event, type EventFilter } from '../api/portcullis/v1/events_pb'
import type { Sort } from './filter'

export function eventURL(id: string) {
  return `/events/${encodeURIComponent(id)}`
}

export function nodeURL(id: string) {
  return `/nodes/${encodeURIComponent(id)}`
}

// exemptionURL leads to a new exemption of what an event shows; of the image alone where finding is empty.
export function exemptionURL({ policy, imageId }: Event, reason: string, finding = '') {
  const known = Object.entries({ policy, image: imageId, finding, reason }).filter(([, value]) => value)
  return '/exemptions/new?' + new URLSearchParams(known).toString()
}

// csvURL is where central gives the list as a file.
export function csvURL(filter: EventFilter, sort: Sort) {
  const query = new URLSearchParams()
  const add = (name: string, ...values: string[]) => values.filter(Boolean).forEach((value) => query.append(name, value))
  add('action', ...filter.actions.map((action) => (action === Action.BLOCK ? 'block' : 'alert')))
  add('template', ...filter.templates)
  add('severity', ...filter.severities)
  add('policy', ...filter.policies)
  add('node', ...filter.nodes)
  add('cluster', ...filter.clusters)
  add('namespace', ...filter.namespaces)
  add('address', filter.address)
  add('image', filter.image)
  add('image_id', filter.imageId)
  add('pod', filter.pod)
  add('container', filter.container)
  add('finding', filter.finding)
  if (filter.from) add('from', timestampDate(filter.from).toISOString())
  if (filter.to) add('to', timestampDate(filter.to).toISOString())
  add('order', sort)
  return '/api/v1/events.csv?' + query.toString()
}
