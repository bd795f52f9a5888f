import { Tag } from 'antd'
import { Action } from '../api/portcullis/v1/events_pb'
import { useText } from '../text'

export function ActionTag({ action }: { action: Action }) {
  const { t } = useText()
  return action === Action.BLOCK ? <Tag color="red">{t('events.block')}</Tag> : <Tag color="gold">{t('events.alert')}</Tag>
}
