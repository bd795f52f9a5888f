import { expect, test } from 'vitest'
import { offersOf } from './offers'

test('Enter takes the typed text and not what was found', () => {
  expect(offersOf(['demo/vulnerable:1', 'demo/vulnerable:2'], [], 'vuln')).toEqual(['demo/vulnerable:1', 'demo/vulnerable:2', 'vuln'])
  expect(offersOf([], [], 'demo/*')).toEqual(['demo/*'])
})

test('Enter takes something before the search has ended', () => {
  expect(offersOf(undefined, [], 'vuln')).toEqual([])
})

test('Enter removes what is chosen, or a name is offered twice', () => {
  expect(offersOf(['a', 'b', 'b'], ['a'], 'b')).toEqual(['b'])
  expect(offersOf(['a'], ['a'], 'a')).toEqual([])
  expect(offersOf(['a'], [], ' ')).toEqual(['a'])
})
