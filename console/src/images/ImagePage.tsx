import { useQuery } from '@tanstack/react-query'
import { Alert, Card, Descriptions, Flex, Typography } from 'antd'
import type { ReactNode } from 'react'
import { Link, useParams } from 'react-router'
import type { GetImageResponse, Image } from '../api/portcullis/v1/images_pb'
import { central } from '../central'
import { PageHead } from '../shared/PageHead'
import { SeverityTag } from '../shared/SeverityTag'
import { Answer } from '../shared/states'
import { useTime } from '../shared/time'
import { type TextKey, useText } from '../text'
import { Findings } from './Findings'
import { asVerdict, kinds, type Verdict } from './findings'
import { shortID } from './links'
import { Outlook } from './Outlook'
import { Reports } from './Reports'
import { ScanTag } from './ScanTag'
import { UploadButton } from './UploadButton'

function Lines({ texts }: { texts: string[] }) {
  return texts.map((text) => (
    <Typography.Text key={text} copyable style={{ display: 'block' }}>
      {text}
    </Typography.Text>
  ))
}

function Where({ image: { nodes, nodeCount } }: { image: Image }) {
  const { t } = useText()
  const more = Number(nodeCount) - nodes.length
  if (nodeCount === 0n) return t('images.nowhere')
  return (
    <Flex gap="4px 12px" wrap>
      {nodes.map((name, index) => (
        // Nodes of two clusters may have one name.
        <Link key={`${name} ${index}`} to={`/nodes?search=${encodeURIComponent(name)}`}>
          {name}
        </Link>
      ))}
      {more > 0 && t('images.more', { count: more })}
    </Flex>
  )
}

function Facts({ image }: { image: Image }) {
  const { t } = useText()
  const time = useTime()
  const rows: [TextKey, ReactNode][] = [
    ['images.scan', <ScanTag key="scan" state={image.scanState} />],
    ['images.worst', image.worstSeverity && <SeverityTag key="worst" severity={image.worstSeverity} />],
    ['images.scanTime', image.scanTime && time(image.scanTime)],
    ['images.scanner', image.scanner],
    ['images.id', <Lines key="id" texts={[image.id]} />],
    ['images.tags', image.tags.length > 0 && <Lines key="tags" texts={image.tags} />],
    ['images.digests', image.digests.length > 0 && <Lines key="digests" texts={image.digests} />],
    ['images.nodes', <Where key="where" image={image} />],
    ['images.seen', time(image.lastSeenTime)],
    ['app.events', <Link key="events" to={`/events?imageID=${encodeURIComponent(image.id)}`}>{t('images.events')}</Link>],
  ]
  const long: TextKey[] = ['images.id', 'images.tags', 'images.digests']
  const items = rows.filter(([, children]) => children).map(([key, children]) => ({ key, label: t(key), children, span: long.includes(key) ? ('filled' as const) : 1 }))
  return <Descriptions column={{ xs: 1, lg: 2 }} items={items} styles={{ content: { overflowWrap: 'anywhere', minWidth: 0, display: 'block' } }} />
}

// Gaps says what nobody has looked for: that nothing is listed does not make it clean.
function Gaps({ verdict }: { verdict?: Verdict }) {
  const { t } = useText()
  if (!verdict) return <Alert type="warning" showIcon title={t('images.unscannedHint')} style={{ marginTop: 16 }} />
  const missing = kinds.filter((kind) => !verdict.scanned?.includes(kind)).map((kind) => t(`images.kind.${kind}`))
  const skipped = verdict.skipped ?? []
  if (missing.length + skipped.length === 0) return null
  const list = skipped.map(({ kind, what }) => <li key={kind + what}>{what}</li>)
  return (
    <Alert
      type="warning"
      showIcon
      title={missing.length > 0 ? t('images.missing', { kinds: missing.join(t('images.comma')) }) : t('images.skipped')}
      description={list.length > 0 && <ul style={{ margin: 0, paddingInlineStart: 16 }}>{list}</ul>}
      style={{ marginTop: 16 }}
    />
  )
}

function Details({ of }: { of: GetImageResponse }) {
  const image = of.image!
  const verdict = of.verdict && asVerdict(of.verdict)
  return (
    <>
      <PageHead title={image.tags[0] ?? image.digests[0] ?? shortID(image.id)}>
        <UploadButton image={image.id} />
      </PageHead>
      <Card>
        <Facts image={image} />
      </Card>
      <Gaps verdict={verdict} />
      <Outlook of={of} />
      {verdict && <Findings verdict={verdict} />}
      <Reports reports={of.reports} />
    </>
  )
}

export function ImagePage() {
  const { id = '' } = useParams()
  const query = useQuery({ queryKey: ['images', 'one', id], queryFn: () => central.images.getImage({ id }) })
  return <Answer of={query}>{(answer) => <Details key={id} of={answer} />}</Answer>
}
