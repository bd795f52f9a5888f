import { useQuery } from '@tanstack/react-query'
import { Card, Col, Row, Typography } from 'antd'
import { lazy, Suspense } from 'react'
import { central } from '../central'
import { PageHead } from '../shared/PageHead'
import { timeZone } from '../shared/time'
import { Answer, Loading } from '../shared/states'
import { useText } from '../text'
import { Attention } from './Attention'
import { Figure, Figures } from './Figure'

// The chart's library is as large as the rest of the page, which is shown before it.
const Trend = lazy(async () => ({ default: (await import('./Trend')).Trend }))

const refetchInterval = 30_000

function usePolicyOverview() {
  return useQuery({ queryKey: ['policies', 'overview'], queryFn: () => central.policies.getPolicyOverview({}), refetchInterval })
}

function useEventOverview() {
  return useQuery({ queryKey: ['events', 'overview'], queryFn: () => central.events.getEventOverview({ days: 7, timeZone }), refetchInterval })
}

function useNodeOverview() {
  return useQuery({ queryKey: ['nodes', 'overview'], queryFn: () => central.nodes.getNodeOverview({}), refetchInterval })
}

function useImageOverview() {
  return useQuery({ queryKey: ['images', 'overview'], queryFn: () => central.images.getImageOverview({}), refetchInterval })
}

function PoliciesCard() {
  const { t } = useText()
  return (
    <Card title={t('overview.policies')} style={{ height: '100%' }}>
      <Answer of={usePolicyOverview()}>
        {({ enabled, blocking, observing }) => (
          <Figures>
            <Figure label={t('overview.enabled')} value={enabled} to="/policies?state=blocking&state=observing" />
            <Figure label={t('overview.blocking')} value={blocking} to="/policies?state=blocking" />
            <Figure label={t('overview.observing')} value={observing} to="/policies?state=observing" />
          </Figures>
        )}
      </Answer>
    </Card>
  )
}

function NodesCard() {
  const { t } = useText()
  return (
    <Card title={t('overview.nodes')} style={{ height: '100%' }}>
      <Answer of={useNodeOverview()}>
        {({ inForce, behind, rejected, silent }) => (
          <Figures>
            <Figure label={t('overview.inForce')} value={inForce} to="/nodes?state=in-force" />
            <Figure label={t('overview.behind')} value={behind} to="/nodes?state=behind" />
            <Figure label={t('overview.rejected')} value={rejected} to="/nodes?state=rejected" tone="danger" />
            <Figure label={t('overview.silent')} value={silent} to="/nodes?state=silent" tone="warning" />
          </Figures>
        )}
      </Answer>
    </Card>
  )
}

function ImagesCard() {
  const { t } = useText()
  return (
    <Card title={t('overview.images')} style={{ height: '100%' }}>
      <Answer of={useImageOverview()}>
        {({ scanned, risky, unscanned }) => (
          <Figures>
            <Figure label={t('overview.scanned')} value={scanned} to="/images?scan=scanned&scan=partial" />
            <Figure label={t('overview.risky')} value={risky} to="/images?severity=Critical&severity=High" tone="danger" />
            <Figure label={t('overview.unscanned')} value={unscanned} to="/images?scan=unscanned" tone="warning" />
          </Figures>
        )}
      </Answer>
    </Card>
  )
}

function EventsCard() {
  const { t } = useText()
  return (
    <Card title={t('overview.events')}>
      <Answer of={useEventOverview()}>
        {({ blocked, alerted, blockedToday, alertedToday, days }) => (
          <>
            <Figures>
              <Figure label={t('overview.blocked')} value={blocked} to="/events?action=block" />
              <Figure label={t('overview.alerted')} value={alerted} to="/events?action=alert" />
              <Figure label={t('overview.blockedToday')} value={blockedToday} to="/events?action=block&days=1" tone="danger" />
              <Figure label={t('overview.alertedToday')} value={alertedToday} to="/events?action=alert&days=1" tone="warning" />
            </Figures>
            <Typography.Title level={2} style={{ fontSize: 16, marginBlock: '24px 0' }}>
              {t('overview.trend')}
            </Typography.Title>
            <Suspense fallback={<Loading />}>
              <Trend days={days} />
            </Suspense>
          </>
        )}
      </Answer>
    </Card>
  )
}

function AttentionCard() {
  const { t } = useText()
  const policies = usePolicyOverview()
  const nodes = useNodeOverview()
  return (
    <Card title={t('overview.attention')} style={{ height: '100%' }}>
      <Answer of={policies}>{(data) => <Attention policies={data} rejected={Number(nodes.data?.rejected ?? 0)} />}</Answer>
    </Card>
  )
}

export function OverviewPage() {
  const { t } = useText()
  return (
    <>
      <PageHead title={t('app.overview')} />
      <Row gutter={[16, 16]}>
        <Col xs={24} md={12} xl={8}>
          <PoliciesCard />
        </Col>
        <Col xs={24} md={12} xl={8}>
          <NodesCard />
        </Col>
        <Col xs={24} md={24} xl={8}>
          <ImagesCard />
        </Col>
        <Col xs={24} xl={16}>
          <EventsCard />
        </Col>
        <Col xs={24} xl={8}>
          <AttentionCard />
        </Col>
      </Row>
    </>
  )
}
