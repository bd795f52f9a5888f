import { create } from '@bufbuild/protobuf'
import { timestampDate } from '@bufbuild/protobuf/wkt'
import { expect, test } from 'vitest'
import { Action, EventSchema } from '../api/portcullis/v1/events_pb'
import { readFilters } from '../shared/filters'
import { filterNames, toEventFilter, toSort } from './filter'
import { csvURL, exemptionURL } from './links'

const now = new Date(2026, 10, 23, 15, 30)

function filterOf(query: string) {
  return toEventFilter(readFilters(new URLSearchParams(query), filterNames), now)
}

test('a day of the trend is not the day of the list', () => {
  const { from, to } = filterOf('from=2026-11-22&to=2026-11-22')
  expect(timestampDate(from!)).toEqual(new Date(2026, 10, 22))
  expect(timestampDate(to!)).toEqual(new Date(2026, 10, 23))
})

test('days counted back leave out today or begin at an hour', () => {
  expect(timestampDate(filterOf('days=1').from!)).toEqual(new Date(2026, 10, 23))
  expect(timestampDate(filterOf('days=7').from!)).toEqual(new Date(2026, 10, 17))
  expect(filterOf('days=7').to).toBeUndefined()
})

test('what is no time narrows the list', () => {
  const { from, to } = filterOf('from=yesterday&to=2026-11&days=-3')
  expect([from, to]).toEqual([undefined, undefined])
})

test('a filter of the URL is not asked for', () => {
  expect(filterOf('action=block&action=alert&policy=a&policy=b&pod=cart&imageID=sha256:00')).toMatchObject({
    actions: [Action.BLOCK, Action.ALERT],
    policies: ['a', 'b'],
    pod: 'cart',
    imageId: 'sha256:00',
  })
})

test('the file holds other events than the list', () => {
  const filters = 'action=block&template=RiskyImage&severity=High&policy=a%26b&policy=c&node=n&cluster=k&namespace=s&address=10.0.0.1&image=i&imageID=sha256:00&pod=p&container=c&finding=CVE-1&from=2026-11-22&to=2026-11-22&sort=-count'
  const { sort } = toSort(readFilters(new URLSearchParams(filters), filterNames))
  const asked = new URLSearchParams(csvURL(filterOf(filters), sort).split('?')[1])
  expect(Object.fromEntries([...new Set(asked.keys())].map((name) => [name, asked.getAll(name).join()]))).toEqual({
    action: 'block', template: 'RiskyImage', severity: 'High', policy: 'a&b,c', node: 'n', cluster: 'k', namespace: 's', address: '10.0.0.1',
    image: 'i', image_id: 'sha256:00', pod: 'p', container: 'c', finding: 'CVE-1', order: '-count',
    from: new Date(2026, 10, 22).toISOString(), to: new Date(2026, 10, 23).toISOString(),
  })
})

test('an exemption begins with more than the event says', () => {
  const event = create(EventSchema, { policy: 'no criticals', imageId: 'sha256:00' })
  expect(exemptionURL(event, 'cart has to run', 'CVE-1')).toBe('/exemptions/new?policy=no+criticals&image=sha256%3A00&finding=CVE-1&reason=cart+has+to+run')
  expect(exemptionURL(create(EventSchema, { imageId: 'sha256:00' }), '')).toBe('/exemptions/new?image=sha256%3A00')
})
