import { useState } from 'react'
import { at, type Draft, edit, list, type Path, readDraft } from './draft'

export interface Editor {
  draft: Draft
  // The last content that could be read, for a form that waits.
  content: unknown
  broken: boolean
  changed: boolean
  write: (text: string) => void
  get: (path: Path) => unknown
  list: (path: Path) => string[]
  set: (path: Path, value: unknown) => void
}

// useDraft is one text that the form and the YAML beside it both edit.
export function useDraft(initial: string): Editor {
  const [draft, setDraft] = useState(() => readDraft(initial))
  const [content, setContent] = useState(draft.content)
  const write = (text: string) => {
    const next = readDraft(text)
    setDraft(next)
    if (next.mistakes.length === 0) setContent(next.content)
  }
  return {
    draft,
    content,
    broken: draft.mistakes.length > 0,
    changed: draft.text !== initial,
    write,
    get: (path) => at(content, path),
    list: (path) => list(content, path),
    set: (path, value) => write(edit(draft.text, path, value)),
  }
}
