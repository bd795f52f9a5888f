import { Tag } from 'antd'
import { type Policy, PolicyState } from '../api/portcullis/v1/policies_pb'
import { useTime } from '../shared/time'
import { useText } from '../text'

export function StateTag({ policy }: { policy: Policy }) {
  const { t } = useText()
  const time = useTime()
  switch (policy.state) {
    case PolicyState.BLOCKING:
      return <Tag color="red">{t('policies.state.blocking')}</Tag>
    case PolicyState.OBSERVING:
      return <Tag color="gold">{t('policies.state.observing', { time: time(policy.enforceAt) })}</Tag>
    default:
      return <Tag>{t('policies.state.disabled')}</Tag>
  }
}
