import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSync } from 'vite'
import { expect, test } from 'vitest'
import { vocabulary } from '../policies/vocabulary'
import { catalogue } from './catalogue'
import { words } from './words'

const folder = join(import.meta.dirname, '..')

const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.tsx?$/.test(file) && !file.startsWith('api/') && !file.includes('.test.'))
  .map((file) => ({ file, source: readFileSync(join(folder, file), 'utf8') }))

const entries = Object.entries<readonly [string, string]>(catalogue)

test('a text is missing in one of the languages', () => {
  const missing = entries.filter(([, both]) => both.some((text) => text.trim() === '')).map(([key]) => key)
  expect(missing).toEqual([])
})

test('a value of a text is missing in one of the languages', () => {
  const values = (text: string) => [...text.matchAll(/{{(\w+)}}/g)].map((match) => match[1]).sort()
  const different = entries.filter(([, [english, chinese]]) => String(values(chinese)) !== String(values(english))).map(([key]) => key)
  expect(different).toEqual([])
})

test('Chinese has punctuation of English', () => {
  const wrong = entries.filter(([, [, chinese]]) => /\p{Script=Han}[,;:?!]|[,;:?!]\p{Script=Han}/u.test(chinese)).map(([key]) => key)
  expect(wrong).toEqual([])
})

test('a count has only one of its forms', () => {
  const keys = new Set(entries.map(([key]) => key))
  const stems = [...keys].flatMap((key) => /^(.*)_(?:one|other)$/.exec(key)?.[1] ?? [])
  expect(stems.filter((stem) => !keys.has(`${stem}_one`) || !keys.has(`${stem}_other`))).toEqual([])
})

test('two pages use one key', () => {
  const keys = sources.filter(({ file }) => /(^|\/)(text|words)\.ts$/.test(file)).flatMap(({ source }) => [...source.matchAll(/^ {2}'([^']+)': \[/gm)].map((match) => match[1]))
  expect(keys.length).toBe(new Set(keys).size)
  expect(keys.length).toBe(entries.length)
})

test('a text is in the catalogue that nothing shows', () => {
  const code = sources.filter(({ file }) => !/(^|\/)(text|words)\.ts$/.test(file)).map(({ source }) => source).join('\n')
  const unused = entries
    .map(([key]) => key.replace(/_(one|other)$/, ''))
    .filter((key) => !(key in words) && !code.includes(`'${key}'`))
    // Some are chosen by a value.
    .filter((key) => ![...code.matchAll(/`([\w.]+\.)\${\w+}(\w*)`/g)].some(([, start, end]) => key.startsWith(start!) && key.endsWith(end!)))
  expect(unused).toEqual([])
})

test('a word of policies has no name', () => {
  const missing = [
    ...vocabulary.severities.map((name) => `severity.${name}`),
    ...vocabulary.classes.map((name) => `class.${name}`),
    ...vocabulary.labels.map((name) => `label.${name}`),
    ...vocabulary.malwareTypes.map((name) => `malware.${name}`),
    ...vocabulary.secretTypes.map((name) => `secret.${name}`),
    ...vocabulary.parameterClasses.map((name) => `parameters.${name}`),
  ].filter((key) => !(key in words))
  expect(missing).toEqual([])
})

test('what a privilege lets a container do is said differently than by package policy', () => {
  const told = Object.fromEntries(Object.entries(words).filter(([key]) => key.startsWith('risk.')).map(([key, [english]]) => [key, english]))
  expect(told).toEqual(Object.fromEntries(vocabulary.parameters.map(({ name, risk }) => [`risk.${name}`, risk])))
})

interface Node {
  type: string
  [key: string]: unknown
}

// Attributes that a reader sees or hears.
const shown = /^(title|label|description|placeholder|alt|extra|subTitle|okText|cancelText|aria-label|emptyText|hint|says|content)$/

// isText tells words from the keys that stand for them.
function isText(value: string) {
  const isKey = entries.some(([key]) => key.replace(/_(one|other)$/, '') === value)
  return /\p{L}/u.test(value) && !isKey
}

// literals finds text that stands in a component and not in the catalogue.
function literals(node: unknown, found: string[] = []): string[] {
  if (Array.isArray(node)) for (const item of node) literals(item, found)
  if (typeof node !== 'object' || node === null) return found
  const { type, ...rest } = node as Node
  if (type === 'JSXText' && /\p{L}/u.test(rest.value as string)) found.push((rest.value as string).trim())
  if (type === 'JSXAttribute' || type === 'Property') {
    const name = (rest.name ?? rest.key) as { name?: string }
    const value = rest.value as Node | undefined
    if (shown.test(name?.name ?? '') && value?.type === 'Literal' && isText(String(value.value))) found.push(String(value.value))
  }
  for (const value of Object.values(rest)) literals(value, found)
  return found
}

test('a component has text of its own', () => {
  // A language is named in itself.
  const names = ['English', '简体中文']
  const found = sources
    .filter(({ file }) => file.endsWith('.tsx'))
    .flatMap(({ file, source }) => literals(parseSync(file, source).program).map((text) => `${file}: ${text}`))
    .filter((line) => !names.some((name) => line.endsWith(`: ${name}`)))
  expect(found).toEqual([])
})
