import type { FormInstance } from 'antd'
import type { FieldProblem } from '../api/portcullis/v1/policies_pb'
import { problemsOf } from './errors'

const camelCase = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())

// fieldErrors turns problems into what a form knows its fields by, whose names are the API's in TypeScript.
export function fieldErrors(problems: FieldProblem[], message = '') {
  const errors = new Map<string, string[]>()
  for (const problem of problems) {
    const field = problem.field.startsWith(message + '.') ? problem.field.slice(message.length + 1) : problem.field
    const name = camelCase(field.replace(/\[.*/, ''))
    errors.set(name, [...(errors.get(name) ?? []), problem.message])
  }
  return [...errors].map(([name, texts]) => ({ name: name.split('.'), errors: texts }))
}

// showProblems puts what central refused at the fields of the form.
export function showProblems<Values>(form: FormInstance<Values>, error: unknown, message?: string) {
  form.setFields(fieldErrors(problemsOf(error), message) as unknown as Parameters<typeof form.setFields>[0])
}
