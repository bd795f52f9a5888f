import { useText } from '../text'
import { ChangePasswordForm } from './ChangePasswordForm'
import { Gatehouse } from './Gatehouse'

// ChangePasswordPage is for those who may do nothing else before they have a password of their own.
export function ChangePasswordPage({ name, onChanged }: { name: string; onChanged: () => void }) {
  const { t } = useText()
  return (
    <Gatehouse title={t('session.choose')}>
      <p>{t('session.chooseHint')}</p>
      <ChangePasswordForm name={name} onChanged={onChanged} />
    </Gatehouse>
  )
}
