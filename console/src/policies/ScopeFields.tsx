import { Radio } from 'antd'
import { Field, ListField, useEditor } from '../documents/fields'
import { ImagesField } from '../documents/ImagesField'
import { useText } from '../text'

const images = ['spec', 'scope', 'images']

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
      {!all && <ImagesField path={[...images, 'select']} label={t('policies.select')} />}
      <ListField path={[...images, 'exclude']} label={t('policies.exclude')} />
      <ListField path={['spec', 'scope', 'namespaces', 'select']} label={t('policies.namespaces')} hint={t('policies.patternHint')} />
      <ListField path={['spec', 'scope', 'clusters', 'select']} label={t('policies.clusters')} hint={t('policies.patternHint')} />
    </>
  )
}
