import { expect, test } from 'vitest'
import { starters } from '../policies/starters'
import { at, edit, list, readDraft } from './draft'

const text = `# reviewed by the shop team
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: shop} # never rename
spec:
  template: RiskyImage
  enabled: true # since the audit
  risk:
    vulnerabilities:
      # from the incident in May
      cves: [CVE-2021-44228]
      later: something a newer central knows
  scope:
    images: {all: true}
`

test('an edit in the form loses comments and keys that the form does not know', () => {
  const edited = edit(edit(text, ['spec', 'enabled'], false), ['spec', 'risk', 'vulnerabilities', 'cves'], ['CVE-2021-44228', 'CVE-2024-3094'])
  expect(edited).toContain('# reviewed by the shop team')
  expect(edited).toContain('{name: shop} # never rename')
  expect(edited).toContain('enabled: false # since the audit')
  expect(edited).toContain('# from the incident in May')
  expect(edited).toContain('later: something a newer central knows')
  expect(list(readDraft(edited).content, ['spec', 'risk', 'vulnerabilities', 'cves'])).toEqual(['CVE-2021-44228', 'CVE-2024-3094'])
})

test('an edit that changes nothing rewrites the text', () => {
  for (const starter of [text, ...Object.values(starters)]) {
    const enabled = at(readDraft(starter).content, ['spec', 'enabled'])
    expect(edit(starter, ['spec', 'enabled'], enabled)).toBe(starter)
  }
})

test('lists move when central has written the document', () => {
  for (const canonical of ['spec:\n  select:\n  - a\n  enabled: true\n', 'spec:\n  select:\n    - a\n  enabled: true\n']) {
    expect(edit(canonical, ['spec', 'enabled'], true)).toBe(canonical)
  }
})

test('an emptied field leaves an empty list, which central refuses', () => {
  const edited = edit(text, ['spec', 'risk', 'vulnerabilities', 'cves'], [])
  expect(at(readDraft(edited).content, ['spec', 'risk', 'vulnerabilities'])).toEqual({ later: 'something a newer central knows' })
})

test('a field below null or below text cannot be set', () => {
  const edited = edit('spec:\n  risk: null\n', ['spec', 'risk', 'malware', 'types'], ['trojan'])
  expect(readDraft(edited).content).toEqual({ spec: { risk: { malware: { types: ['trojan'] } } } })
  expect(readDraft(edit('spec: none\n', ['spec', 'enabled'], true)).content).toEqual({ spec: { enabled: true } })
})

test('names that look like numbers, times or YAML become something else', () => {
  for (const name of ['007', 'yes', 'null', '2026-11-23', 'a: b', '# c', '"', '拦截', ' x ', '- y', '1e3']) {
    expect(at(readDraft(edit(text, ['metadata', 'name'], name)).content, ['metadata', 'name'])).toBe(name)
  }
})

test('broken YAML is said without its line, or edited anyway', () => {
  const broken = 'spec:\n  enabled: true\n  enabled: false\n'
  expect(readDraft(broken).mistakes).toMatchObject([{ line: 3 }])
  expect(readDraft(broken).content).toBeUndefined()
  expect(edit(broken, ['spec', 'enabled'], true)).toBe(broken)
  expect(readDraft('').mistakes).toHaveLength(1)
  expect(readDraft('- list').mistakes).toHaveLength(1)
})

test('aliases make a short text a long document', () => {
  expect(readDraft('a: &a [x]\nb: *a\n').mistakes).toMatchObject([{ line: 2 }])
})
