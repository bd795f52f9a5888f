import { InputNumber, Radio } from 'antd'
import { useId, useState } from 'react'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { Field, useEditor } from '../documents/fields'

const effect = ['spec', 'effect']
const day = 24 * 60 * 60 * 1000

export function EffectFields() {
  const { t } = useText()
  const time = useTime()
  const id = useId()
  const { get, set } = useEditor()
  const [now] = useState(Date.now)
  const mode = get([...effect, 'mode'])
  const days = get([...effect, 'days'])
  const options = [
    { value: 'Immediate', label: t('policies.effect.immediate') },
    { value: 'Observe', label: t('policies.effect.observe') },
  ]
  const blocksAt = typeof days === 'number' && days >= 1 && days <= 365 ? t('policies.blocksAt', { time: time(new Date(now + days * day)) }) : undefined
  return (
    <>
      <Field label={t('policies.effect')}>
        <Radio.Group aria-label={t('policies.effect')} vertical options={options} value={mode} onChange={({ target }) => set(effect, target.value === 'Observe' ? { mode: 'Observe', days: 7 } : { mode: 'Immediate' })} />
      </Field>
      {mode === 'Observe' && (
        <Field path={[...effect, 'days']} label={t('policies.days')} hint={blocksAt} id={id}>
          <InputNumber id={id} min={1} max={365} precision={0} value={typeof days === 'number' ? days : null} onChange={(value) => value && set([...effect, 'days'], value)} />
        </Field>
      )}
    </>
  )
}
