import { Action, type Event } from '../api/portcullis/v1/events_pb'
import { useText } from '../text'

// usePodStatus says how the pod stood after the decision, as the kubelet shows it.
export function usePodStatus() {
  const { t } = useText()
  return ({ action, operation }: Event) => {
    if (action !== Action.BLOCK) return t('events.letThrough')
    return t('events.waiting', { reason: operation === 'StartContainer' ? 'RunContainerError' : 'CreateContainerError' })
  }
}
