import type { Event } from '../api/portcullis/v1/events_pb'
import { useText } from '../text'
import { exemptionURL } from './links'

// useExemptionURL gives the link to a new exemption of an event, with the begin of a reason.
export function useExemptionURL(event: Event) {
  const { t } = useText()
  const { container, pod, namespace } = event
  const reason = t('events.neededBy', { container, pod, namespace })
  return (finding?: string) => exemptionURL(event, reason, finding)
}
