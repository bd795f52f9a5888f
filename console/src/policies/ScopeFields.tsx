import { useQuery } from '@tanstack/react-query'
import { Radio, Select } from 'antd'
import { useDeferredValue, useId, useState } from 'react'
import { ScanState } from '../api/portcullis/v1/images_pb'
import { central } from '../central'
import { useText } from '../text'
import { Field, ListField, useEditor } from './fields'

const images = ['spec', 'scope', 'images']

// ImagePicker offers scanned images while one types, and takes patterns as they are.
function ImagePicker() {
  const { t } = useText()
  const { list, set } = useEditor()
  const id = useId()
  const [typed, setTyped] = useState('')
  const search = useDeferredValue(typed)
  const found = useQuery({
    queryKey: ['images', 'pick', search],
    queryFn: () => central.images.listImages({ search, scanStates: [ScanState.SCANNED, ScanState.PARTIAL], pageSize: 20 }),
    enabled: search.length > 1,
  })
  const names = new Set(found.data?.images.flatMap((image) => (image.tags.length > 0 ? image.tags : [image.id])))
  return (
    <Field label={t('policies.select')} hint={t('policies.selectHint')} id={id}>
      <Select
        id={id}
        mode="tags"
        showSearch={{ onSearch: setTyped }}
        tokenSeparators={[' ', ',', '\n']}
        value={list([...images, 'select'])}
        options={[...names].map((name) => ({ value: name, label: name }))}
        onChange={(chosen: string[]) => set([...images, 'select'], chosen)}
      />
    </Field>
  )
}

export function ScopeFields() {
  const { t } = useText()
  const { get, set } = useEditor()
  const all = get([...images, 'all']) === true
  const exclude = get([...images, 'exclude'])
  const choose = (value: boolean) => set(images, { ...(value ? { all: true } : { select: [] }), ...(exclude ? { exclude } : {}) })
  return (
    <>
      <Field label={t('policies.images')}>
        <Radio.Group
          aria-label={t('policies.images')}
          value={all}
          options={[
            { value: true, label: t('policies.images.all') },
            { value: false, label: t('policies.images.select') },
          ]}
          onChange={({ target }) => choose(target.value)}
        />
      </Field>
      {!all && <ImagePicker />}
      <ListField path={[...images, 'exclude']} label={t('policies.exclude')} />
      <ListField path={['spec', 'scope', 'namespaces', 'select']} label={t('policies.namespaces')} hint={t('policies.patternHint')} />
      <ListField path={['spec', 'scope', 'clusters', 'select']} label={t('policies.clusters')} hint={t('policies.patternHint')} />
    </>
  )
}
