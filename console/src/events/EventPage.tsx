import { useQuery } from '@tanstack/react-query'
import { Card, Descriptions, Typography } from 'antd'
import type { ReactNode } from 'react'
import { Link, useParams } from 'react-router'
import type { Event } from '../api/portcullis/v1/events_pb'
import { central } from '../central'
import { PageHead } from '../shared/PageHead'
import { SeverityTag } from '../shared/SeverityTag'
import { Answer } from '../shared/states'
import { useTime } from '../shared/time'
import { type TextKey, useText } from '../text'
import { ActionTag } from './ActionTag'

function Facts({ event }: { event: Event }) {
  const { t, word, locale } = useText()
  const time = useTime()
  const rows: [TextKey, ReactNode][] = [
    ['events.action', <ActionTag key="action" action={event.action} />],
    ['events.type', word('template', event.template)],
    ['events.policy', event.policy ? <Link to={`/policies/${encodeURIComponent(event.policy)}`}>{event.policy}</Link> : t('events.noPolicy')],
    ['events.enforceAt', event.enforceAt && time(event.enforceAt)],
    ['events.severity', event.severity && <SeverityTag severity={event.severity} />],
    ['events.image', event.image],
    ['events.imageID', event.imageId && <code>{event.imageId}</code>],
    ['events.registry', event.registry],
    ['events.namespace', event.namespace],
    ['events.pod', event.pod],
    ['events.podAddress', event.podAddress],
    ['events.container', event.container],
    ['events.node', event.node],
    ['events.nodeAddresses', event.nodeAddresses.join(', ')],
    ['events.cluster', event.cluster],
    ['events.operation', event.operation],
    ['events.bundle', event.bundleRevision],
    ['events.first', time(event.firstTime)],
    ['events.last', time(event.lastTime)],
    ['events.count', event.count.toLocaleString(locale)],
    ['events.missing', event.summarised && t('events.summarised')],
  ]
  const items = rows.filter(([, children]) => children).map(([key, children]) => ({ key, label: t(key), children }))
  return <Descriptions column={{ xs: 1, lg: 2 }} items={items} styles={{ content: { overflowWrap: 'anywhere' } }} />
}

function Asks({ event }: { event: Event }) {
  const { t } = useText()
  if (event.asks.length === 0) return null
  return (
    <Card title={t('events.asks')} style={{ marginTop: 16 }}>
      <ul>
        {event.asks.map(({ parameter, detail }) => (
          <li key={parameter + detail}>
            <code>{parameter}</code> {detail}
          </li>
        ))}
      </ul>
    </Card>
  )
}

function Words({ title, text }: { title: TextKey; text: string }) {
  const { t } = useText()
  if (!text) return null
  return (
    <Card title={t(title)} style={{ marginTop: 16 }}>
      <Typography.Paragraph copyable style={{ margin: 0, whiteSpace: 'pre-wrap' }}>
        {text}
      </Typography.Paragraph>
    </Card>
  )
}

export function EventPage() {
  const { id = '' } = useParams()
  const { t } = useText()
  const query = useQuery({ queryKey: ['events', 'one', id], queryFn: () => central.events.getEvent({ id }) })
  return (
    <Answer of={query}>
      {({ event, remedy }) => (
        <>
          <PageHead title={t('events.details')} />
          <Card>
            <Facts event={event!} />
          </Card>
          <Words title="events.because" text={event!.because} />
          <Words title="events.remedy" text={remedy} />
          <Words title="events.message" text={event!.message} />
          <Asks event={event!} />
        </>
      )}
    </Answer>
  )
}
