import { Tag } from 'antd'
import { ScanState } from '../api/portcullis/v1/images_pb'
import { useText } from '../text'

export function ScanTag({ state }: { state: ScanState }) {
  const { t } = useText()
  switch (state) {
    case ScanState.SCANNED:
      return <Tag color="green">{t('images.scan.scanned')}</Tag>
    case ScanState.PARTIAL:
      return <Tag color="gold">{t('images.scan.partial')}</Tag>
    default:
      return <Tag>{t('images.scan.unscanned')}</Tag>
  }
}
