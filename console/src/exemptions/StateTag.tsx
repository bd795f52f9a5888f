import { Tag } from 'antd'
import { type Exemption, ExemptionState } from '../api/portcullis/v1/policies_pb'
import { useText } from '../text'

export function StateTag({ exemption }: { exemption: Exemption }) {
  const { t } = useText()
  switch (exemption.state) {
    case ExemptionState.EXPIRED:
      return <Tag>{t('exemptions.state.expired')}</Tag>
    case ExemptionState.EXPIRING:
      return <Tag color="gold">{t('exemptions.state.expiring')}</Tag>
    default:
      return <Tag color="green">{t('exemptions.state.active')}</Tag>
  }
}
