import { useMutation, useQueryClient } from '@tanstack/react-query'
import { App, Button } from 'antd'
import { useText } from '../text'
import { describe } from './errors'

interface Props {
  // What is deleted, for those who do not see which row the button stands in.
  name: string
  ask: string
  hint: string
  // What queries that show it begin with.
  queryKey: string
  disabled?: boolean
  remove: () => Promise<unknown>
  onRemoved?: () => void
}

// RemoveButton deletes something after it has asked.
export function RemoveButton({ name, ask, hint, queryKey, disabled, remove, onRemoved }: Props) {
  const { t } = useText()
  const { modal, message } = App.useApp()
  const queries = useQueryClient()
  const removal = useMutation({
    mutationFn: remove,
    onSuccess: () => onRemoved?.(),
    onError: (error) => void message.error(describe(error, t)),
    onSettled: () => queries.invalidateQueries({ queryKey: [queryKey] }),
  })
  const confirm = () =>
    modal.confirm({
      title: ask,
      content: hint,
      okText: t('shared.delete'),
      okButtonProps: { danger: true },
      cancelText: t('shared.cancel'),
      onOk: () => removal.mutate(),
    })
  return (
    <Button danger disabled={disabled} loading={removal.isPending} aria-label={`${t('shared.delete')}: ${name}`} onClick={confirm}>
      {t('shared.delete')}
    </Button>
  )
}
