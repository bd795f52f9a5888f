import { useQuery } from '@tanstack/react-query'
import { Button, DatePicker, Flex, Select, Typography } from 'antd'
import dayjs from 'dayjs'
import { useDeferredValue, useId, useState } from 'react'
import { central } from '../central'
import { Part } from '../documents/DocumentForm'
import { Field, ListField, TextField, useEditor } from '../documents/fields'
import { ImagesField } from '../documents/ImagesField'
import { useText } from '../text'
import { inDays, writeTime } from './prefill'

function Expiry() {
  const { t } = useText()
  const { get, set } = useEditor()
  const id = useId()
  const path = ['spec', 'expires']
  const written = dayjs(String(get(path) ?? ''))
  return (
    <Field path={path} label={t('exemptions.expires')} hint={t('exemptions.expiresHint')} id={id}>
      <Flex gap={8} wrap>
        <DatePicker
          id={id}
          showTime={{ format: 'HH:mm' }}
          format="YYYY-MM-DD HH:mm"
          value={written.isValid() ? written : null}
          allowClear={false}
          needConfirm={false}
          onChange={(time) => time && set(path, writeTime(time.toDate()))}
        />
        {[7, 30, 90].map((days) => (
          <Button key={days} onClick={() => set(path, inDays(days))}>
            {t('exemptions.inDays', { count: days })}
          </Button>
        ))}
      </Flex>
    </Field>
  )
}

// PoliciesField picks from the policies that there are; central takes no other name.
function PoliciesField() {
  const { t } = useText()
  const { list, set } = useEditor()
  const id = useId()
  const path = ['spec', 'policies']
  const [typed, setTyped] = useState('')
  const search = useDeferredValue(typed)
  const found = useQuery({ queryKey: ['policies', 'pick', search], queryFn: () => central.policies.listPolicies({ search, pageSize: 50 }) })
  const options = found.data?.policies.map(({ name }) => ({ value: name, label: name }))
  return (
    <Field path={path} label={t('exemptions.policies')} hint={t('exemptions.policiesHint')} id={id}>
      <Select id={id} mode="multiple" allowClear loading={found.isFetching} showSearch={{ filterOption: false, onSearch: setTyped }} value={list(path)} options={options} onChange={(chosen: string[]) => set(path, chosen)} />
    </Field>
  )
}

// ExemptionFields is the form of an exemption. The name of one that exists is fixed: it says which one it is.
export function ExemptionFields({ fixedName }: { fixedName: boolean }) {
  const { t } = useText()
  return (
    <>
      <Part title={t('exemptions.reason')}>
        <TextField path={['metadata', 'name']} label={t('exemptions.name')} max={128} disabled={fixedName} />
        <TextField path={['spec', 'reason']} label={t('exemptions.reason')} hint={t('exemptions.reasonHint')} area />
        <TextField path={['spec', 'author']} label={t('exemptions.author')} />
        <Expiry />
      </Part>
      <Part title={t('exemptions.scope')}>
        <Typography.Paragraph type="secondary">{t('exemptions.scopeHint')}</Typography.Paragraph>
        <ImagesField path={['spec', 'images']} label={t('exemptions.images')} />
        <ListField path={['spec', 'findings']} label={t('exemptions.findings')} hint={t('exemptions.findingsHint')} />
        <PoliciesField />
      </Part>
    </>
  )
}
