import { timestampDate } from '@bufbuild/protobuf/wkt'
import { expect, test } from 'vitest'
import { Action } from '../api/portcullis/v1/events_pb'
import { readFilters } from '../shared/filters'
import { filterNames, toEventFilter } from './filter'

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
