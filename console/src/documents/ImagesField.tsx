import { useQuery } from '@tanstack/react-query'
import { Select } from 'antd'
import { useDeferredValue, useId, useState } from 'react'
import { ScanState } from '../api/portcullis/v1/images_pb'
import { central } from '../central'
import { useText } from '../text'
import type { Path } from './draft'
import { Field, useEditor } from './fields'

// ImagesField offers scanned images while one types, and takes patterns as they are.
export function ImagesField({ path, label }: { path: Path; label: string }) {
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
    <Field path={path} label={label} hint={t('documents.imagesHint')} id={id}>
      <Select
        id={id}
        mode="tags"
        showSearch={{ onSearch: setTyped }}
        tokenSeparators={[' ', ',', '\n']}
        value={list(path)}
        options={[...names].map((name) => ({ value: name, label: name }))}
        onChange={(chosen: string[]) => set(path, chosen)}
      />
    </Field>
  )
}
