import { expect, test } from 'vitest'
import { compress, expand, toggle } from './parameters'
import { vocabulary } from './vocabulary'

test('a class includes what is by name only', () => {
  expect(expand(['network']).has('NET_ADMIN')).toBe(true)
  expect(expand(['network']).has('NET_RAW')).toBe(false)
  expect(expand(undefined).has('run-as-root')).toBe(false)
})

test('a list changes by being read and written', () => {
  for (const list of [['high-risk'], ['high-risk', 'host-pid', 'NET_RAW'], vocabulary.parameterClasses, ['basic', 'privileged']]) {
    expect(compress(expand(list))).toEqual(list)
  }
})

test('a class without one of its parameters stays a class', () => {
  const without = toggle(['network', 'NET_RAW'], 'host-network')
  expect(without).not.toContain('network')
  expect(without).not.toContain('host-network')
  expect(without).toContain('NET_RAW')
  expect(toggle(without, 'host-network')).toEqual(['network', 'NET_RAW'])
})

test('switching a class off takes single choices by name with it', () => {
  expect(toggle(['network', 'NET_RAW'], 'network')).toEqual(['NET_RAW'])
})

test('a capability in another spelling is lost or doubled', () => {
  expect(compress(expand(['cap_net_raw']))).toEqual(['NET_RAW'])
  expect(compress(expand(['something-newer']))).toEqual(['something-newer'])
})
