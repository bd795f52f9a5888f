import type { Exemption } from '../api/portcullis/v1/policies_pb'
import { central } from '../central'
import { RemoveButton } from '../shared/RemoveButton'
import { useText } from '../text'

export function DeleteButton({ exemption: { name, revision }, onDeleted }: { exemption: Exemption; onDeleted?: () => void }) {
  const { t } = useText()
  return (
    <RemoveButton
      name={name}
      ask={t('exemptions.deleteAsk', { name })}
      hint={t('exemptions.deleteHint')}
      queryKey="policies"
      remove={() => central.policies.deleteExemption({ name, revision })}
      onRemoved={onDeleted}
    />
  )
}
