import { Card, Flex, Input, Select, type TableColumnsType, Typography } from 'antd'
import { Link } from 'react-router'
import { type Image, ScanState } from '../api/portcullis/v1/images_pb'
import { central } from '../central'
import { vocabulary } from '../policies/vocabulary'
import { useFilters } from '../shared/filters'
import { List } from '../shared/List'
import { PageHead } from '../shared/PageHead'
import { usePages } from '../shared/pages'
import { SeverityTag } from '../shared/SeverityTag'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { imageURL, shortID } from './links'
import { ScanTag } from './ScanTag'
import { UploadButton } from './UploadButton'

const states = { unscanned: ScanState.UNSCANNED, partial: ScanState.PARTIAL, scanned: ScanState.SCANNED }

type StateName = keyof typeof states

const filterNames = { search: 'any', scan: Object.keys(states), severity: vocabulary.severities, node: 'any', present: ['yes'] } as const

function Name({ image: { id, tags, digests } }: { image: Image }) {
  const { t } = useText()
  const [first = id, ...others] = [...tags, ...digests]
  return (
    <div style={{ overflowWrap: 'anywhere', minWidth: 200, maxWidth: 340 }}>
      <Link to={imageURL(id)}>{first}</Link>
      {others.length > 0 && <Typography.Text type="secondary"> {t('images.moreNames', { count: others.length })}</Typography.Text>}
      {first !== id && (
        <div>
          <Typography.Text type="secondary" title={id}>
            {shortID(id)}
          </Typography.Text>
        </div>
      )}
    </div>
  )
}

const shownNodes = 2

function Where({ image: { nodes, nodeCount } }: { image: Image }) {
  const { t } = useText()
  const more = Number(nodeCount) - Math.min(nodes.length, shownNodes)
  if (nodeCount === 0n) return <Typography.Text type="secondary">{t('images.nowhere')}</Typography.Text>
  return [...nodes.slice(0, shownNodes), ...(more > 0 ? [t('images.more', { count: more })] : [])].join(', ')
}

// Count is of findings of a kind; 0 says that the kind was looked for.
function Count({ image, kind }: { image: Image; kind: 'vulnerabilities' | 'malware' | 'secrets' }) {
  const { t, locale } = useText()
  if (image[kind] === 0n && !image.scanned.includes(kind)) return <Typography.Text type="secondary" title={t('images.notLookedFor')} aria-label={t('images.notLookedFor')}>{'–'}</Typography.Text>
  return image[kind].toLocaleString(locale)
}

function useColumns(): TableColumnsType<Image> {
  const { t } = useText()
  const time = useTime()
  const count = (kind: 'vulnerabilities' | 'malware' | 'secrets') => ({ key: kind, title: t(`images.kind.${kind}`), align: 'right' as const, render: (_: unknown, image: Image) => <Count image={image} kind={kind} /> })
  return [
    { key: 'name', title: t('images.image'), render: (_, image) => <Name image={image} /> },
    { key: 'scan', title: t('images.scan'), render: (_, { scanState }) => <ScanTag state={scanState} /> },
    { key: 'severity', title: t('images.worst'), render: (_, { worstSeverity }) => <SeverityTag severity={worstSeverity} /> },
    count('vulnerabilities'),
    count('malware'),
    count('secrets'),
    { key: 'nodes', title: t('images.nodes'), render: (_, image) => <Where image={image} /> },
    { key: 'scanTime', title: t('images.scanTime'), render: (_, { scanTime }) => time(scanTime) },
    { key: 'seen', title: t('images.seen'), render: (_, { lastSeenTime }) => time(lastSeenTime) },
  ]
}

function FilterBar({ filters, set }: Pick<ReturnType<typeof useFilters<keyof typeof filterNames>>, 'filters' | 'set'>) {
  const { t, word } = useText()
  const text = (name: 'search' | 'node', label: string, width: number) => (
    <Input.Search key={name + filters[name].join()} allowClear maxLength={200} defaultValue={filters[name][0]} aria-label={label} placeholder={label} onSearch={(value) => set({ [name]: [value] })} style={{ width }} />
  )
  const choice = (name: 'scan' | 'severity' | 'present', label: string, options: { value: string; label: string }[]) => (
    <Select mode="multiple" allowClear aria-label={label} placeholder={label} value={filters[name]} options={options} onChange={(values: string[]) => set({ [name]: values })} style={{ minWidth: 160 }} />
  )
  return (
    <Flex gap={8} wrap style={{ marginBottom: 16 }}>
      {text('search', t('images.search'), 260)}
      {choice('scan', t('images.scan'), [
        { value: 'scanned', label: t('images.scan.scanned') },
        { value: 'partial', label: t('images.scan.partial') },
        { value: 'unscanned', label: t('images.scan.unscanned') },
      ])}
      {choice('severity', t('images.worst'), filterNames.severity.map((value) => ({ value, label: word('severity', value) })))}
      {text('node', t('images.onNode'), 250)}
      {choice('present', t('images.presence'), [{ value: 'yes', label: t('images.present') }])}
    </Flex>
  )
}

export function ImagesPage() {
  const { t } = useText()
  const { filters, any, set, clear } = useFilters(filterNames)
  const columns = useColumns()
  const { search, scan, severity, node, present } = filters
  const request = { search: search[0] ?? '', scanStates: scan.map((name) => states[name as StateName]), severities: severity, node: node[0] ?? '', present: present.length > 0 }
  const pages = usePages(['images', 'list', request], (pageToken) => central.images.listImages({ ...request, pageToken, pageSize: 50 }))
  return (
    <>
      <PageHead title={t('app.images')}>
        <UploadButton />
      </PageHead>
      <Card>
        <FilterBar filters={filters} set={set} />
        <List pages={pages} rows={({ images }) => images} rowKey="id" columns={columns} any={any} clear={clear} none={t('images.none')} />
      </Card>
    </>
  )
}
