import { Radio, Tag, Tooltip, Tree, Typography } from 'antd'
import { useText } from '../text'
import { Field, useEditor } from '../documents/fields'
import { expand, toggle } from './parameters'
import { vocabulary } from './vocabulary'

const path = ['spec', 'privileges', 'parameters']

function ParameterTree() {
  const { t, word } = useText()
  const { get, list, set } = useEditor()
  const selected = get(path) === undefined ? undefined : list(path)
  const single = expand(selected)
  const leaves = (name: string) => vocabulary.parameters.filter((parameter) => parameter.class === name)
  const whole = vocabulary.parameterClasses.filter((name) => leaves(name).every((leaf) => leaf.byName || single.has(leaf.name)))
  const part = vocabulary.parameterClasses.filter((name) => !whole.includes(name) && leaves(name).some((leaf) => single.has(leaf.name)))
  const tree = vocabulary.parameterClasses.map((name) => ({
    key: name,
    title: word('parameters', name),
    children: leaves(name).map((leaf) => ({
      key: leaf.name,
      title: (
        <>
          <code>{leaf.name}</code>{' '}
          {leaf.byName && (
            <Tooltip title={t('policies.byNameHint')}>
              <Tag>{t('policies.byName')}</Tag>
            </Tooltip>
          )}
          <Typography.Text type="secondary">
            {word('risk', leaf.name)}
          </Typography.Text>
        </>
      ),
    })),
  }))
  return (
    <Tree
      checkable
      checkStrictly
      selectable={false}
      treeData={tree}
      checkedKeys={{ checked: [...whole, ...single], halfChecked: part }}
      onCheck={(_, { node }) => set(path, toggle(selected, String(node.key)))}
    />
  )
}

export function PrivilegeFields() {
  const { t, word } = useText()
  const { get, set } = useEditor()
  const rule = get(['spec', 'privileges', 'rule']) ?? 'DenySelected'
  const options = ['DenySelected', 'AllowOnlySelected'].map((value) => ({ value, label: word('rule', value) }))
  return (
    <>
      <Field label={t('policies.rule')}>
        <Radio.Group aria-label={t('policies.rule')} vertical options={options} value={rule} onChange={({ target }) => set(['spec', 'privileges', 'rule'], target.value)} />
      </Field>
      <Field label={t('policies.privileges')} hint={t('policies.privilegesHint')}>
        <ParameterTree />
      </Field>
    </>
  )
}
