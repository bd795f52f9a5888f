import { Flex, Form, Input, Select, Switch, Typography } from 'antd'
import { createContext, type ReactNode, use, useId } from 'react'
import type { FieldProblem } from '../api/portcullis/v1/policies_pb'
import { problemsAt } from '../shared/errors'
import { useText } from '../text'
import type { Path } from './draft'
import type { Editor } from './useDraft'

// The form's fields each show and edit one place of the draft.

const EditorContext = createContext<(Editor & { problems: FieldProblem[] }) | undefined>(undefined)

export const EditorProvider = EditorContext.Provider

export function useEditor() {
  const editor = use(EditorContext)
  if (!editor) throw new Error('a field outside DocumentForm')
  return editor
}

interface FieldProps {
  // Where in the document; what central finds wrong there is shown.
  path?: Path
  label: string
  hint?: string
  id?: string
  children: ReactNode
}

export function Field({ path, label, hint, id, children }: FieldProps) {
  const { problems } = useEditor()
  const wrong = path && problemsAt(problems, path)
  return (
    <Form.Item label={label} htmlFor={id} extra={hint} help={wrong?.join(' ')} validateStatus={wrong && 'error'} style={{ marginBottom: 16 }}>
      {children}
    </Form.Item>
  )
}

const characters = (text: string) => [...text].length

interface TextProps {
  path: Path
  label: string
  hint?: string
  max?: number
  area?: boolean
  disabled?: boolean
}

export function TextField({ path, label, hint, max, area, disabled }: TextProps) {
  const { get, set } = useEditor()
  const id = useId()
  const value = get(path)
  const props = {
    id,
    disabled,
    value: typeof value === 'string' ? value : '',
    count: max ? { show: true, max, strategy: characters } : undefined,
    onChange: ({ target }: { target: { value: string } }) => set(path, target.value || undefined),
  }
  return (
    <Field path={path} label={label} hint={hint} id={id}>
      {area ? <Input.TextArea autoSize={{ minRows: 2, maxRows: 6 }} {...props} /> : <Input {...props} />}
    </Field>
  )
}

interface ChoiceProps {
  path: Path
  label: string
  hint?: string
  // The kind of words, for their names.
  kind: string
  names: string[]
}

// ChoiceField picks any of a fixed list of words.
export function ChoiceField({ path, label, hint, kind, names }: ChoiceProps) {
  const { list, set } = useEditor()
  const { word } = useText()
  const id = useId()
  return (
    <Field path={path} label={label} hint={hint} id={id}>
      <Select
        id={id}
        mode="multiple"
        allowClear
        value={list(path)}
        options={names.map((name) => ({ value: name, label: word(kind, name) }))}
        showSearch={{ optionFilterProp: 'label' }}
        onChange={(chosen: string[]) => set(path, chosen)}
      />
    </Field>
  )
}

// ListField takes any strings; a pasted list is parted into its items.
export function ListField({ path, label, hint, placeholder }: { path: Path; label: string; hint?: string; placeholder?: string }) {
  const { list, set } = useEditor()
  const id = useId()
  return (
    <Field path={path} label={label} hint={hint} id={id}>
      <Select
        id={id}
        mode="tags"
        open={false}
        suffixIcon={null}
        allowClear
        placeholder={placeholder}
        tokenSeparators={[' ', ',', ';', '\n', '\t', '，', '、']}
        value={list(path)}
        onChange={(items: string[]) => set(path, [...new Set(items.map((item) => item.trim()).filter(Boolean))])}
      />
    </Field>
  )
}

// Section is a part of the document that is there or not.
export function Section({ path, label, empty, children }: { path: Path; label: string; empty: unknown; children: ReactNode }) {
  const { get, set } = useEditor()
  const on = get(path) !== undefined
  return (
    <div style={{ marginBottom: 16 }}>
      <Flex gap={8} align="center" style={{ marginBottom: on ? 12 : 0 }}>
        <Switch checked={on} aria-label={label} onChange={(checked) => set(path, checked ? empty : undefined)} />
        <Typography.Text strong>{label}</Typography.Text>
      </Flex>
      {on && <div style={{ paddingInlineStart: 16, borderInlineStart: '2px solid rgb(128 128 128 / 30%)' }}>{children}</div>}
    </div>
  )
}
