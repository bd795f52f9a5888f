import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { yaml } from '@codemirror/lang-yaml'
import { defaultHighlightStyle, HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { lintGutter, setDiagnostics } from '@codemirror/lint'
import { Compartment, EditorState } from '@codemirror/state'
import { EditorView, keymap, lineNumbers } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { useEffect, useEffectEvent, useRef } from 'react'
import { useAppearance } from '../app/appearance'

interface Mark {
  line: number
  message: string
}

interface Props {
  label: string
  value: string
  marks: Mark[]
  readOnly?: boolean
  onChange: (text: string) => void
}

const darkStyle = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: '#91caff' },
  { tag: [tags.string, tags.content], color: '#b7eb8f' },
  { tag: tags.comment, color: '#a6a6a6' },
])

const colours = new Compartment()

function coloursOf(dark: boolean) {
  return [EditorView.theme({ '&': { fontSize: '13px' }, '.cm-scroller': { maxHeight: '70vh', overflow: 'auto' } }, { dark }), syntaxHighlighting(dark ? darkStyle : defaultHighlightStyle)]
}

// YAMLEditor is a text field for YAML. Tab moves on as everywhere else, so that the keyboard is not caught.
export function YAMLEditor({ label, value, marks, readOnly = false, onChange }: Props) {
  const { dark } = useAppearance()
  const element = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(null)
  const typed = useEffectEvent(onChange)
  const first = useEffectEvent(() => ({ value, dark }))
  useEffect(() => {
    const begin = first()
    const listen = EditorView.updateListener.of((update) => {
      // What the form writes comes with the annotation of no user event.
      if (update.docChanged && update.transactions.some((transaction) => !transaction.isUserEvent('form'))) typed(update.state.doc.toString())
    })
    const extensions = [
      lineNumbers(),
      history(),
      keymap.of([...defaultKeymap, ...historyKeymap]),
      yaml(),
      lintGutter(),
      colours.of(coloursOf(begin.dark)),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ 'aria-label': label }),
      EditorState.readOnly.of(readOnly),
      listen,
    ]
    const made = new EditorView({ parent: element.current!, state: EditorState.create({ doc: begin.value, extensions }) })
    view.current = made
    return () => made.destroy()
  }, [label, readOnly])
  useEffect(() => {
    const state = view.current!.state
    if (state.doc.toString() !== value) view.current!.dispatch({ changes: { from: 0, to: state.doc.length, insert: value }, userEvent: 'form' })
  }, [value])
  useEffect(() => view.current!.dispatch({ effects: colours.reconfigure(coloursOf(dark)) }), [dark])
  useEffect(() => {
    const { state } = view.current!
    const diagnostics = marks.map(({ line, message }) => {
      const { from, to } = state.doc.line(Math.min(Math.max(line, 1), state.doc.lines))
      return { from, to, message, severity: 'error' as const }
    })
    view.current!.dispatch(setDiagnostics(state, diagnostics))
  }, [marks, value])
  return <div ref={element} style={{ border: '1px solid rgb(128 128 128 / 40%)', borderRadius: 6, overflow: 'hidden', background: dark ? '#141414' : '#fff' }} />
}
