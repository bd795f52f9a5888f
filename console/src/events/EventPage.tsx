import { useQuery } from '@tanstack/react-query'
import { Button, Card, Descriptions, Typography } from 'antd'
import type { ReactNode } from 'react'
import { Link, useNavigate, useParams } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { Action, type Event } from '../api/portcullis/v1/events_pb'
import { central } from '../central'
import { useSession } from '../session/session'
import { PageHead } from '../shared/PageHead'
import { SeverityTag } from '../shared/SeverityTag'
import { Answer } from '../shared/states'
import { useTime } from '../shared/time'
import { type TextKey, useText } from '../text'
import { ActionTag } from './ActionTag'
import { Asks } from './Asks'
import { blocksFrom } from './effect'
import { Evidence } from './Evidence'
import { nodeURL } from './links'
import { useExemptionURL } from './useExemptionURL'
import { usePodStatus } from './usePodStatus'

// BlocksFrom is known to the event itself only of a policy that observed.
function BlocksFrom({ event: { policy, enforceAt, lastTime } }: { event: Event }) {
  const time = useTime()
  const { data } = useQuery({
    queryKey: ['policies', 'revisions-of-event', policy],
    queryFn: () => central.policies.listPolicyRevisions({ name: policy, pageSize: 100 }),
    enabled: !enforceAt,
  })
  const from = enforceAt ?? (data && blocksFrom(data.revisions, data.nextPageToken !== '', lastTime!))
  return from ? time(from) : '–'
}

// useHeadline says in a line what happened to what.
function useHeadline({ action, namespace, pod, container, image, imageId }: Event) {
  const { t } = useText()
  const what = [namespace, pod].filter(Boolean).join('/') || image || imageId
  if (action === Action.BLOCK) return container ? t('events.blockedContainer', { what, container }) : t('events.blockedPod', { what })
  return container ? t('events.alertedContainer', { what, container }) : t('events.alertedPod', { what })
}

function Head({ event }: { event: Event }) {
  return (
    <PageHead title={useHeadline(event)}>
      <Ways event={event} />
    </PageHead>
  )
}

function Facts({ event }: { event: Event }) {
  const { t, word, locale } = useText()
  const time = useTime()
  const podStatus = usePodStatus()
  const row = (label: TextKey, shows: ReactNode) => ({ label, shows })
  const rows = [
    row('events.action', <ActionTag action={event.action} />),
    row('events.type', word('template', event.template)),
    row('events.policy', event.policy ? <Link to={`/policies/${encodeURIComponent(event.policy)}`}>{event.policy}</Link> : t('events.noPolicy')),
    row('events.enforceAt', event.policy && <BlocksFrom event={event} />),
    row('events.reason', event.policy ? '' : word('reason', event.reason)),
    row('events.severity', event.severity && <SeverityTag severity={event.severity} />),
    row('events.image', event.image),
    row('events.imageID', event.imageId && <Link to={`/images/${encodeURIComponent(event.imageId)}`}><code>{event.imageId}</code></Link>),
    row('events.registry', event.registry),
    row('events.namespace', event.namespace),
    row('events.pod', event.pod),
    row('events.podUID', event.podUid && <code>{event.podUid}</code>),
    row('events.podAddress', event.podAddress),
    row('events.podStatus', podStatus(event)),
    row('events.container', event.container),
    row('events.node', event.nodeId ? <Link to={nodeURL(event.nodeId)}>{event.node}</Link> : event.node),
    row('events.nodeID', event.nodeId && <code>{event.nodeId}</code>),
    row('events.nodeAddresses', event.nodeAddresses.join(', ')),
    row('events.cluster', event.cluster),
    row('events.operation', event.operation),
    row('events.bundle', event.bundleRevision),
    row('events.first', time(event.firstTime)),
    row('events.last', time(event.lastTime)),
    row('events.count', event.count.toLocaleString(locale)),
    row('events.missing', event.summarised && t('events.summarised')),
  ]
  const items = rows.filter(({ shows }) => shows).map(({ label, shows }) => ({ key: label, label: t(label), children: shows }))
  return <Descriptions column={{ xs: 1, lg: 2 }} items={items} styles={{ content: { overflowWrap: 'anywhere' } }} />
}

function Ways({ event }: { event: Event }) {
  const { t } = useText()
  const navigate = useNavigate()
  const { may } = useSession()
  const exemption = useExemptionURL(event)
  const way = (to: string, text: TextKey, type?: 'primary') => (
    <Button type={type} onClick={() => void navigate(to)}>
      {t(text)}
    </Button>
  )
  return (
    <>
      {event.policy && way(`/policies/${encodeURIComponent(event.policy)}`, 'events.showPolicy')}
      {event.imageId && way(`/images/${encodeURIComponent(event.imageId)}`, 'events.showImage')}
      {event.policy && may(Role.EDITOR) && way(exemption(), 'events.exempt', 'primary')}
    </>
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
  const query = useQuery({ queryKey: ['events', 'one', id], queryFn: () => central.events.getEvent({ id }) })
  return (
    <Answer of={query}>
      {({ event, remedy }) => (
        <>
          <Head event={event!} />
          <Card>
            <Facts event={event!} />
          </Card>
          <Words title="events.because" text={event!.because} />
          <Evidence event={event!} />
          <Asks event={event!} />
          <Words title="events.remedy" text={remedy} />
          <Words title="events.message" text={event!.message} />
        </>
      )}
    </Answer>
  )
}
