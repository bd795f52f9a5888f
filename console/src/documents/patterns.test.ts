import { expect, test } from 'vitest'
import { searchOf, selects } from './patterns'

const id = `sha256:${'0'.repeat(64)}`
const digest = `sha256:${'a'.repeat(64)}`
const image = { id, tags: ['docker.io/library/nginx:1.27', 'registry.example.com/shop/web/front:v2'], digests: [`docker.io/library/nginx@${digest}`] }

test.each([
  id, 'nginx', 'nginx:1.*', 'nginx:1.2?', `nginx@${digest}`, `nginx:1.27@${digest}`, 'docker.io/nginx', 'index.docker.io/library/nginx', '*', 'ngin?',
  'registry.example.com/**', 'REGISTRY.example.com:443/shop/web/front', 'registry.example.com/shop/*/front', '*.example.com/**/front:v*',
])('%s selects nothing', (pattern) => {
  expect(selects(pattern, image)).toBe(true)
  expect([image.id, ...image.tags, ...image.digests].some((name) => name.includes(searchOf(pattern)))).toBe(true)
})

test.each([
  'ngin', 'vuln', id.replace('0', '1'), 'nginx:1.28', 'nginx:1', `nginx@${id}`, `nginx:1.28@${digest}`, 'quay.io/nginx', 'bitnami/nginx',
  'registry.example.com/*', 'registry.example.com/shop/*', 'registry.example.com/shop?web/front', 'registry.example.com:5000/**', 'web/front',
])('%s selects what is named otherwise', (pattern) => {
  expect(selects(pattern, image)).toBe(false)
})

test('a pattern of many stars takes for ever', () => {
  const slow = { id, tags: [`docker.io/library/${'a'.repeat(250)}:1`], digests: [] }
  expect(selects(`${'*a'.repeat(200)}b`, slow)).toBe(false)
})

test('the search asks for less than the pattern', () => {
  expect(searchOf('registry.example.com/shop/*:v1*')).toBe('shop')
  expect(searchOf('registry.example.com/**')).toBe('registry.example.com')
  expect(searchOf('docker.io/**')).toBe('')
  expect(searchOf(id)).toBe(id)
})
