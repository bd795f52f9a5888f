import { Card, Flex, Table, type TableColumnsType, Typography } from 'antd'
import { Link } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { type Event } from '../api/portcullis/v1/events_pb'
import { useSession } from '../session/session'
import { SeverityTag } from '../shared/SeverityTag'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { type Match, matchesOf, type Piece } from './evidence'
import { useExemptionURL } from './useExemptionURL'

function Name({ piece: { kind, name, type } }: { piece: Piece }) {
  const { t, word } = useText()
  if (kind === 'unknown') return t('events.unknown', { kind: t(`events.kind.${name}` as 'events.kind.malware') })
  return (
    <>
      <code>{name}</code>
      {type && <div>{word(kind, type)}</div>}
    </>
  )
}

function Component({ piece: { kind, component, version, fixedVersion } }: { piece: Piece }) {
  const { t } = useText()
  if (kind !== 'vulnerability') return null
  return (
    <>
      {component} {version} → {fixedVersion || <Typography.Text type="secondary">{t('events.noFix')}</Typography.Text>}
    </>
  )
}

function Where({ piece: { place, details } }: { piece: Piece }) {
  return (
    <>
      {place && <div>{place}</div>}
      {details.map((detail) => (
        <div key={detail}>
          <Typography.Text type="secondary">{detail}</Typography.Text>
        </div>
      ))}
    </>
  )
}

function Pieces({ event, pieces }: { event: Event; pieces: Piece[] }) {
  const { t } = useText()
  const editor = useSession().may(Role.EDITOR)
  const exemption = useExemptionURL(event)
  const all: (TableColumnsType<Piece>[number] & { when: boolean })[] = [
    { key: 'severity', title: t('events.severity'), render: (_, { severity }) => <SeverityTag severity={severity} />, when: pieces.some(({ severity }) => severity) },
    { key: 'finding', title: t('events.finding'), render: (_, piece) => <Name piece={piece} />, when: true },
    { key: 'component', title: t('events.component'), render: (_, piece) => <Component piece={piece} />, when: pieces.some(({ component }) => component) },
    { key: 'where', title: t('events.where'), render: (_, piece) => <Where piece={piece} />, when: pieces.some(({ place, details }) => place || details.length > 0) },
    {
      key: 'exempt',
      title: '',
      render: (_, { finding }) => finding && <Link to={exemption(finding)}>{t('events.exempt')}</Link>,
      when: editor && pieces.some(({ finding }) => finding),
    },
  ]
  return (
    <Table<Piece>
      size="small"
      rowKey={(piece) => JSON.stringify(piece)}
      dataSource={pieces}
      columns={all.filter(({ when }) => when)}
      pagination={{ pageSize: 20, hideOnSinglePage: true, showSizeChanger: false }}
      scroll={{ x: 'max-content' }}
    />
  )
}

function MatchCard({ event, match }: { event: Event; match: Match & { pieces: Piece[] } }) {
  const { t, word } = useText()
  const time = useTime()
  return (
    <Card title={t('events.matched', { policy: match.policy })} extra={word('template', match.template)} style={{ marginTop: 16 }}>
      <Flex vertical gap={12}>
        {match.enforceAt && <span>{t('events.observed', { time: time(new Date(match.enforceAt)) })}</span>}
        <Pieces event={event} pieces={match.pieces} />
        {match.omitted && <Typography.Text type="secondary">{t('events.omitted', { count: match.omitted })}</Typography.Text>}
      </Flex>
    </Card>
  )
}

// Evidence is what every policy that matched has found.
export function Evidence({ event }: { event: Event }) {
  return matchesOf(event.matches).map((match) => <MatchCard key={match.policy} event={event} match={match} />)
}
