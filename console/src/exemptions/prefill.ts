import { edit } from '../documents/draft'

// What a link to /exemptions/new may say: parameters named after the document's fields, and those of lists
// any number of times.
const texts = { name: ['metadata', 'name'], reason: ['spec', 'reason'], author: ['spec', 'author'] }
const lists = { image: ['spec', 'images'], policy: ['spec', 'policies'], finding: ['spec', 'findings'] }

const day = 24 * 60 * 60 * 1000

// inDays is the time so many days from now, as documents write it.
export function inDays(days: number, now = Date.now()) {
  return writeTime(new Date(now + days * day))
}

// writeTime writes whole seconds.
export function writeTime(time: Date) {
  return time.toISOString().replace(/\.\d+Z$/, 'Z')
}

function expires(params: URLSearchParams, now: number) {
  const time = Date.parse(params.get('expires') ?? '')
  return Number.isNaN(time) ? inDays(30, now) : writeTime(new Date(time))
}

// prefill is the document that a new exemption begins with: what the link says, and for 30 days.
export function prefill(params: URLSearchParams, author: string, now = Date.now()): string {
  let text = `apiVersion: portcullis/v1
kind: Exemption
metadata:
  name: ""
spec:
  reason: ""
  author: ""
  expires: ${expires(params, now)}
`
  text = edit(text, texts.author, author)
  for (const [name, path] of Object.entries(texts)) {
    const value = params.get(name)?.trim()
    if (value) text = edit(text, path, value)
  }
  for (const [name, path] of Object.entries(lists)) {
    const values = params.getAll(name).map((value) => value.trim())
    text = edit(text, path, [...new Set(values)].filter(Boolean))
  }
  return text
}
