import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { EventSchema } from '../api/portcullis/v1/events_pb'
import { splitAsks } from './asks'

function split(asks: [string, string?][], ...named: string[]) {
  const matches = [{ policy: 'p', template: 'PrivilegedStart', action: 'block', evidence: named.map((parameter) => ({ ask: { parameter } })) }]
  const { beyond, rest } = splitAsks(create(EventSchema, { asks: asks.map(([parameter, detail = '']) => ({ parameter, detail })), matches }))
  return [beyond, rest].map((part) => part.map(({ parameter }) => parameter).join(' '))
}

test('what every container has looks alarming', () => {
  expect(split([['SYS_ADMIN'], ['CHOWN'], ['NET_RAW'], ['run-as-root', 'user 0']])).toEqual(['SYS_ADMIN', 'CHOWN NET_RAW run-as-root'])
  expect(split([['CHOWN'], ['NET_RAW']])).toEqual(['', 'CHOWN NET_RAW'])
})

test('what a policy names is folded away', () => {
  expect(split([['CHOWN'], ['NET_RAW']], 'NET_RAW')).toEqual(['NET_RAW', 'CHOWN'])
  expect(split([['privileged'], ['SYS_ADMIN', 'privileged'], ['BPF', 'privileged']], 'BPF')).toEqual(['privileged BPF', 'SYS_ADMIN'])
})

test('what came along with another ask hides it, or what is not known yet is folded away', () => {
  expect(split([['all-capabilities'], ['SYS_ADMIN', 'all-capabilities'], ['brand-new']])).toEqual(['all-capabilities brand-new', 'SYS_ADMIN'])
})
