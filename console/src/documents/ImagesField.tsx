import { useId } from 'react'
import { ScanState } from '../api/portcullis/v1/images_pb'
import { central } from '../central'
import { type Suggestions, SuggestSelect } from '../shared/SuggestSelect'
import { useText } from '../text'
import type { Path } from './draft'
import { Field, useEditor } from './fields'
import { PatternTag } from './PatternTag'

const suggestions: Suggestions = {
  key: 'images',
  // No name has a wildcard.
  worth: (text) => text.length > 1 && !/[*?]/.test(text),
  async find(search) {
    const { images } = await central.images.listImages({ search, scanStates: [ScanState.SCANNED, ScanState.PARTIAL], pageSize: 20 })
    return images.flatMap((image) => (image.tags.length > 0 ? image.tags : [image.id]))
  },
}

// ImagesField offers scanned images while one types, and takes patterns that are chosen as such.
export function ImagesField({ path, label }: { path: Path; label: string }) {
  const { t } = useText()
  const { list, set } = useEditor()
  const id = useId()
  return (
    <Field path={path} label={label} hint={t('documents.imagesHint')} id={id}>
      <SuggestSelect
        id={id}
        suggestions={suggestions}
        asTyped={(pattern) => t('documents.pattern', { pattern })}
        tokenSeparators={[' ', ',', '\n']}
        tagRender={({ value, closable, onClose }) => <PatternTag pattern={String(value)} closable={closable} onClose={onClose} />}
        value={list(path)}
        onChange={(chosen) => set(path, chosen)}
      />
    </Field>
  )
}
