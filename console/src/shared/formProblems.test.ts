import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { FieldProblemSchema } from '../api/portcullis/v1/policies_pb'
import { problemsAt } from './errors'
import { fieldErrors } from './formProblems'

const problem = (field: string, message = 'is wrong') => create(FieldProblemSchema, { field, message })

test('a problem is not shown at the field that it is about', () => {
  const problems = ['channel.name', 'channel.webhook.url', 'channel.window_from', 'channel.actions[1]', 'channels'].map((field) => problem(field))
  expect(fieldErrors(problems, 'channel').map(({ name }) => name.join('.'))).toEqual(['name', 'webhook.url', 'windowFrom', 'actions', 'channels'])
})

test('of two problems of a field one is lost', () => {
  expect(fieldErrors([problem('expire_time', 'a'), problem('expire_time', 'b')])).toEqual([{ name: ['expireTime'], errors: ['a', 'b'] }])
})

test('a problem within a field of a document is shown at another', () => {
  const problems = [problem('spec.images[0]', 'a'), problem('spec.imagesToo', 'b'), problem('spec.risk.malware.md5[1]', 'c'), problem('', 'd')]
  expect(problemsAt(problems, ['spec', 'images'])).toEqual(['a'])
  expect(problemsAt(problems, ['spec', 'images', 0])).toEqual(['a'])
  expect(problemsAt(problems, ['spec', 'images', 1])).toBeUndefined()
  expect(problemsAt(problems, ['spec', 'risk'])).toEqual(['c'])
})
