import { expect, test } from 'vitest'
import { readDraft } from '../documents/draft'
import { prefill } from './prefill'

const now = Date.parse('2026-11-23T12:00:00.789Z')
const specOf = (query: string) => readDraft(prefill(new URLSearchParams(query), 'alice', now)).content

test('a link without parameters is no document to begin with', () => {
  expect(specOf('')).toEqual({
    apiVersion: 'portcullis/v1',
    kind: 'Exemption',
    metadata: { name: '' },
    spec: { reason: '', author: 'alice', expires: '2026-12-23T12:00:00Z' },
  })
})

test('what a link says is not in the document', () => {
  const query = new URLSearchParams({ name: 'a: b', reason: '# "\nspec: {}', author: 'bob', expires: '2027-03-01T08:00:00+08:00' })
  for (const image of ['registry.example.com/shop/cart:1.2', 'docker.io/library/*']) query.append('image', image)
  query.append('policy', 'no criticals, no malware')
  for (const finding of ['CVE-2021-44228', 'CVE-2021-44228', ' ']) query.append('finding', finding)
  query.append('namespace', 'shop')
  expect(specOf(query.toString())).toMatchObject({
    metadata: { name: 'a: b' },
    spec: {
      reason: '# "\nspec: {}',
      author: 'bob',
      expires: '2027-03-01T00:00:00Z',
      images: ['registry.example.com/shop/cart:1.2', 'docker.io/library/*'],
      policies: ['no criticals, no malware'],
      findings: ['CVE-2021-44228'],
    },
  })
})

test('an expiry that is no time is taken as one', () => {
  expect(specOf('expires=soon&finding=CVE-2024-3094')).toMatchObject({ spec: { expires: '2026-12-23T12:00:00Z', findings: ['CVE-2024-3094'] } })
})
