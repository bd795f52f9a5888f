import { create, equals } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { Action } from '../api/portcullis/v1/events_pb'
import { ChannelSchema } from '../api/portcullis/v1/notifications_pb'
import { channelOf, newChannel, valuesOf } from './channel'

const common = { name: 'on call', enabled: true, actions: [Action.BLOCK], minSeverity: 'High', windowFrom: '20:00', windowTo: '08:00', timeZone: 'Asia/Shanghai', revision: 7n }
const webhook = create(ChannelSchema, { ...common, target: { case: 'webhook', value: { url: 'https://example.com/hook' } } })
const syslog = create(ChannelSchema, { ...common, target: { case: 'syslog', value: { address: 'syslog.example.com:514', protocol: 'udp' } } })

test('a channel that is opened and saved is another', () => {
  for (const channel of [webhook, syslog]) expect(equals(ChannelSchema, channelOf(valuesOf(channel), 7n), channel)).toBe(true)
})

test('the target that was not chosen is sent', () => {
  const values = { ...valuesOf(webhook), target: 'syslog' as const, syslog: { address: 'a:1', protocol: 'tcp' } }
  expect(channelOf(values, 7n).target).toMatchObject({ case: 'syslog', value: { address: 'a:1' } })
})

test('a new channel has a revision', () => {
  expect(channelOf(newChannel, 0n)).toMatchObject({ revision: 0n, enabled: true, target: { case: 'webhook' } })
})
