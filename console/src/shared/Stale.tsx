import { useQueryClient } from '@tanstack/react-query'
import { Alert, Button } from 'antd'
import { useSyncExternalStore } from 'react'
import { useText } from '../text'
import { describe } from './errors'

// Stale warns while something on the page is shown as it was because it cannot be had anew: figures that no
// longer change look like a quiet day.
export function Stale() {
  const { t } = useText()
  const queries = useQueryClient()
  const cache = queries.getQueryCache()
  const error = useSyncExternalStore(
    (changed) => cache.subscribe(changed),
    () => cache.findAll({ type: 'active' }).find(({ state }) => state.status === 'error' && state.data !== undefined)?.state.error,
  )
  if (!error) return null
  const retry = <Button onClick={() => void queries.refetchQueries({ type: 'active' })}>{t('shared.retry')}</Button>
  return <Alert type="warning" showIcon role="alert" title={t('shared.stale')} description={describe(error, t)} action={retry} style={{ marginBottom: 16 }} />
}
