import { Tag } from 'antd'
import { NodeState } from '../api/portcullis/v1/nodes_pb'
import { useText } from '../text'

export function NodeStateTag({ state }: { state: NodeState }) {
  const { t } = useText()
  switch (state) {
    case NodeState.IN_FORCE:
      return <Tag color="green">{t('nodes.state.in-force')}</Tag>
    case NodeState.BEHIND:
      return <Tag color="gold">{t('nodes.state.behind')}</Tag>
    case NodeState.REJECTED:
      return <Tag color="red">{t('nodes.state.rejected')}</Tag>
    default:
      return <Tag>{t('nodes.state.silent')}</Tag>
  }
}
