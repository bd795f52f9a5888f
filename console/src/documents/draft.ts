import { type Document, isMap, isNode, LineCounter, parseDocument, visit } from 'yaml'

// A draft is the document as text. The form reads the text and edits it in place, so that comments and
// what the form does not know stay as they were written.

export type Path = readonly (string | number)[]

export interface Mistake {
  line: number
  message: string
}

export interface Draft {
  text: string
  // What the text says; undefined while it is no YAML or no mapping.
  content?: unknown
  mistakes: Mistake[]
}

function parse(text: string) {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false })
  const mistakes = document.errors.map((error) => ({ line: lineCounter.linePos(error.pos[0]).line, message: error.message }))
  if (mistakes.length === 0 && !isMap(document.contents)) mistakes.push({ line: 1, message: 'write a mapping: apiVersion, kind, metadata, spec' })
  // Central takes none, and with them a short text is a long document.
  visit(document, {
    Alias(_, { range }) {
      mistakes.push({ line: range ? lineCounter.linePos(range[0]).line : 1, message: 'write it out instead of using an alias' })
    },
  })
  return { document, mistakes }
}

export function readDraft(text: string): Draft {
  const { document, mistakes } = parse(text)
  if (mistakes.length > 0) return { text, mistakes }
  return { text, content: document.toJS(), mistakes }
}

// at returns what stands at a path of the content, whatever the text has there instead of mappings.
export function at(content: unknown, path: Path): unknown {
  let value = content
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<string | number, unknown>)[key]
  }
  return value
}

// list returns the strings at a path; what is no list of strings is none.
export function list(content: unknown, path: Path): string[] {
  const value = at(content, path)
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

// flushLists finds a list whose dashes stand right below its key, as central writes them.
const flushLists = /^( *)[^ #-].*:\n\1- /m

// edit sets what stands at a path, or takes it out: the form has no "none" but leaving out, and an empty
// list is a mistake to central. A text with mistakes stays as it is.
export function edit(text: string, path: Path, value: unknown): string {
  const { document, mistakes } = parse(text)
  if (mistakes.length > 0) return text
  if (value === undefined || (Array.isArray(value) && value.length === 0)) document.deleteIn(path)
  else setAt(document, path, value)
  return document.toString({ lineWidth: 0, flowCollectionPadding: false, indentSeq: !flushLists.test(text) })
}

// setAt replaces what stands in the way of the path, as in spec: null.
function setAt(document: Document, path: Path, value: unknown) {
  for (let depth = 1; depth < path.length; depth++) {
    const above = path.slice(0, depth)
    if (typeof path[depth] === 'string' && !isMap(document.getIn(above))) document.setIn(above, document.createNode({}))
  }
  const before = document.getIn(path, true)
  const node = document.createNode(value)
  // A comment at the end of the line is of the place and not of the value.
  if (isNode(before)) node.comment = before.comment
  document.setIn(path, node)
}
