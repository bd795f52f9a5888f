import { useQuery } from '@tanstack/react-query'
import { Alert, Flex, Table, Typography } from 'antd'
import { central } from '../central'
import { Answer, Nothing } from '../shared/states'
import { type TextKey, useText } from '../text'
import { Action } from '../api/portcullis/v1/events_pb'
import type { PreviewPolicyResponse } from '../api/portcullis/v1/policies_pb'

function Impact({ preview }: { preview: PreviewPolicyResponse }) {
  const { t } = useText()
  const column = (title: TextKey, index: string) => ({ title: t(title), dataIndex: index, key: index })
  const { imagesTotal, nodesTotal, startsTotal, unscannedTotal, alertedImagesTotal, alertedStartsTotal, observationDays } = preview
  const images = (action: Action) =>
    preview.images
      .filter((image) => image.action === action)
      .map((image) => ({ key: image.imageId, image: image.names[0] ?? image.imageId, nodes: image.nodes.join(', '), because: image.because }))
  const starts = (action: Action) =>
    preview.starts
      .filter((start) => start.action === action)
      .map((start, key) => ({ key, pod: `${start.namespace}/${start.pod}/${start.container}`, image: start.image, count: Number(start.count), because: start.because }))
  const table = (title: string, dataSource: { key: string | number }[], columns: ReturnType<typeof column>[]) => (
    <div>
      <Typography.Paragraph strong>{title}</Typography.Paragraph>
      <Table size="small" scroll={{ x: 'max-content' }} pagination={{ pageSize: 10, hideOnSinglePage: true }} dataSource={dataSource} columns={columns} />
    </div>
  )
  const ofImages = [column('policies.image', 'image'), column('policies.nodes', 'nodes'), column('policies.because', 'because')]
  const ofStarts = [column('policies.pod', 'pod'), column('policies.image', 'image'), column('policies.count', 'count'), column('policies.because', 'because')]
  return (
    <Flex vertical gap={16}>
      {observationDays > 0 && <Alert type="info" showIcon title={t('policies.previewObserves', { count: observationDays })} />}
      {imagesTotal + startsTotal + alertedImagesTotal + alertedStartsTotal === 0n && <Nothing says={t('policies.previewNothing')} />}
      {imagesTotal > 0n && table(t('policies.previewImages', { count: Number(imagesTotal), nodes: t('policies.onNodes', { count: Number(nodesTotal) }) }), images(Action.BLOCK), ofImages)}
      {startsTotal > 0n && table(t('policies.previewStarts', { count: Number(startsTotal) }), starts(Action.BLOCK), ofStarts)}
      {alertedImagesTotal > 0n && table(t('policies.previewAlertedImages', { count: Number(alertedImagesTotal) }), images(Action.ALERT), ofImages)}
      {alertedStartsTotal > 0n && table(t('policies.previewAlertedStarts', { count: Number(alertedStartsTotal) }), starts(Action.ALERT), ofStarts)}
      {unscannedTotal > 0n && <Alert type="info" showIcon title={t('policies.previewUnscanned', { count: Number(unscannedTotal) })} />}
    </Flex>
  )
}

// Preview says what a draft would have done.
export function Preview({ document }: { document: string }) {
  const query = useQuery({ queryKey: ['policies', 'preview', document], queryFn: () => central.policies.previewPolicy({ document }), gcTime: 0 })
  return <Answer of={query}>{(preview) => <Impact preview={preview} />}</Answer>
}
