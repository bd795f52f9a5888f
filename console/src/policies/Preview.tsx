import { useQuery } from '@tanstack/react-query'
import { Alert, Flex, Table, Typography } from 'antd'
import { central } from '../central'
import { Answer, Nothing } from '../shared/states'
import { type TextKey, useText } from '../text'
import type { PreviewPolicyResponse } from '../api/portcullis/v1/policies_pb'

function Impact({ preview }: { preview: PreviewPolicyResponse }) {
  const { t } = useText()
  const column = (title: TextKey, index: string) => ({ title: t(title), dataIndex: index, key: index })
  const { imagesTotal, nodesTotal, startsTotal, unscannedTotal } = preview
  const images = preview.images.map((image) => ({ key: image.imageId, image: image.names[0] ?? image.imageId, nodes: image.nodes.join(', '), because: image.because }))
  const starts = preview.starts.map((start, key) => ({ key, pod: `${start.namespace}/${start.pod}/${start.container}`, image: start.image, count: Number(start.count), because: start.because }))
  return (
    <Flex vertical gap={16}>
      {imagesTotal + startsTotal === 0n && <Nothing says={t('policies.previewNothing')} />}
      {imagesTotal > 0n && (
        <div>
          <Typography.Paragraph strong>{t('policies.previewImages', { images: Number(imagesTotal), nodes: Number(nodesTotal) })}</Typography.Paragraph>
          <Table size="small" scroll={{ x: 'max-content' }} pagination={{ pageSize: 10, hideOnSinglePage: true }} dataSource={images} columns={[column('policies.image', 'image'), column('policies.nodes', 'nodes'), column('policies.because', 'because')]} />
        </div>
      )}
      {startsTotal > 0n && (
        <div>
          <Typography.Paragraph strong>{t('policies.previewStarts', { count: Number(startsTotal) })}</Typography.Paragraph>
          <Table
            size="small"
            scroll={{ x: 'max-content' }}
            pagination={{ pageSize: 10, hideOnSinglePage: true }}
            dataSource={starts}
            columns={[column('policies.pod', 'pod'), column('policies.image', 'image'), column('policies.count', 'count'), column('policies.because', 'because')]}
          />
        </div>
      )}
      {unscannedTotal > 0n && <Alert type="info" showIcon title={t('policies.previewUnscanned', { count: Number(unscannedTotal) })} />}
    </Flex>
  )
}

// Preview says what a draft would have done.
export function Preview({ document }: { document: string }) {
  const query = useQuery({ queryKey: ['policies', 'preview', document], queryFn: () => central.policies.previewPolicy({ document }), gcTime: 0 })
  return <Answer of={query}>{(preview) => <Impact preview={preview} />}</Answer>
}
