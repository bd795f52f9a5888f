import { create } from '@bufbuild/protobuf'
import { type Action } from '../api/portcullis/v1/events_pb'
import { type Channel, ChannelSchema } from '../api/portcullis/v1/notifications_pb'
import { timeZone } from '../shared/time'

// Values are a channel as the form has it; its names are those of the API, so that mistakes find their field.
export interface Values {
  name: string
  enabled: boolean
  target: 'webhook' | 'syslog'
  webhook: { url: string; secret: string }
  syslog: { address: string; protocol: string }
  actions: Action[]
  minSeverity: string
  windowFrom: string
  windowTo: string
  timeZone: string
}

export const newChannel: Values = {
  name: '',
  enabled: true,
  target: 'webhook',
  webhook: { url: '', secret: '' },
  syslog: { address: '', protocol: 'tls' },
  actions: [],
  minSeverity: '',
  windowFrom: '',
  windowTo: '',
  timeZone,
}

export function valuesOf(channel: Channel): Values {
  const { name, enabled, target, actions, minSeverity, windowFrom, windowTo } = channel
  const { webhook, syslog } = newChannel
  return {
    name,
    enabled,
    target: target.case ?? 'webhook',
    webhook: target.case === 'webhook' ? { url: target.value.url, secret: '' } : webhook,
    syslog: target.case === 'syslog' ? { address: target.value.address, protocol: target.value.protocol } : syslog,
    actions,
    minSeverity,
    windowFrom,
    windowTo,
    timeZone: channel.timeZone || 'UTC',
  }
}

// channelOf is what central is asked to keep in the place of that revision; 0 is a new channel.
export function channelOf({ target, webhook, syslog, ...values }: Values, revision: bigint): Channel {
  const to = target === 'webhook' ? { case: 'webhook' as const, value: webhook } : { case: 'syslog' as const, value: syslog }
  return create(ChannelSchema, { ...values, revision, target: to } as Parameters<typeof create<typeof ChannelSchema>>[1])
}

export function channelURL(name: string) {
  return `/notifications/${encodeURIComponent(name)}`
}
