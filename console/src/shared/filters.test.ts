import { expect, test } from 'vitest'
import { readFilters, writeFilters } from './filters'

const allowed = { state: ['blocking', 'observing'], search: 'any' } as const

test('a filter that a URL says is lost when the list is reloaded', () => {
  const filters = { state: ['blocking', 'observing'], search: ['a&b=c 拦截 #1'] }
  const url = writeFilters(new URLSearchParams(), filters).toString()
  expect(readFilters(new URLSearchParams(url), allowed)).toEqual(filters)
})

test('a value of an old link empties the list', () => {
  expect(readFilters(new URLSearchParams('state=gone&state=blocking&state=blocking&search='), allowed)).toEqual({ state: ['blocking'], search: [] })
})

test('a filter that is changed takes the others with it', () => {
  const next = writeFilters(new URLSearchParams('state=blocking&sort=count&search=x'), { search: [] })
  expect(next.toString()).toBe('state=blocking&sort=count')
})
