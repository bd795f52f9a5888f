import { create } from '@bufbuild/protobuf'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { expect, test } from 'vitest'
import { PolicyRevisionSchema } from '../api/portcullis/v1/policies_pb'
import { blocksFrom } from './effect'

const on = (day: number) => new Date(Date.UTC(2026, 10, day))
const at = (day: number) => timestampFromDate(on(day))
const revision = (day: number, spec: string) => create(PolicyRevisionSchema, { time: at(day), document: spec && `metadata: {name: p}\nspec: ${spec}\n` })

const immediate = '{enabled: true, effect: {mode: Immediate}}'
const observe = '{enabled: true, effect: {mode: Observe, days: 7}}'
const off = '{enabled: false, effect: {mode: Immediate}}'

test('an immediate policy blocks since its last edit, and not since it was switched on', () => {
  expect(blocksFrom([revision(9, immediate), revision(5, immediate), revision(3, off), revision(1, immediate)], false, at(10))).toEqual(on(5))
  expect(blocksFrom([revision(9, immediate), revision(5, immediate)], false, at(10))).toEqual(on(5))
})

test('what was changed after the event counts', () => {
  expect(blocksFrom([revision(9, off), revision(5, immediate), revision(3, off)], false, at(7))).toEqual(on(5))
  expect(blocksFrom([revision(9, immediate)], false, at(7))).toBeUndefined()
})

test('an observation blocks when it begins', () => {
  expect(blocksFrom([revision(6, observe), revision(5, observe), revision(3, immediate)], false, at(20))).toEqual(on(12))
  expect(blocksFrom([revision(5, observe.replace('7', '7, since: 2026-11-01T00:00:00Z'))], true, at(20))).toEqual(on(8))
})

test('a history that is cut off, or of a policy that was deleted, is guessed', () => {
  expect(blocksFrom([revision(5, immediate)], true, at(10))).toBeUndefined()
  expect(blocksFrom([revision(9, ''), revision(5, immediate)], false, at(10))).toBeUndefined()
  expect(blocksFrom([], false, at(10))).toBeUndefined()
})
