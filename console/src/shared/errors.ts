import { Code, ConnectError } from '@connectrpc/connect'
import { type FieldProblem, FieldProblemsSchema } from '../api/portcullis/v1/policies_pb'
import type { Translate } from '../text'

// problemsOf returns what central found wrong in a request, field by field.
export function problemsOf(error: unknown): FieldProblem[] {
  return ConnectError.from(error)
    .findDetails(FieldProblemsSchema)
    .flatMap((detail) => detail.problems)
}

// problemsAt returns what is wrong with a field or what is below it; undefined is nothing.
export function problemsAt(problems: FieldProblem[], path: readonly (string | number)[]): string[] | undefined {
  const field = path.reduce<string>((above, key) => (typeof key === 'number' ? `${above}[${key}]` : above ? `${above}.${key}` : key), '')
  const found = problems.filter((problem) => problem.field === field || problem.field.startsWith(field + '.') || problem.field.startsWith(field + '['))
  return found.length > 0 ? found.map((problem) => problem.message) : undefined
}

// describe says an error in the reader's language where its code says enough; what central says of a
// request that is wrong is shown as it is.
export function describe(error: unknown, t: Translate): string {
  const { code, rawMessage } = ConnectError.from(error)
  switch (code) {
    case Code.Unavailable:
    case Code.DeadlineExceeded:
    case Code.Canceled:
      return t('shared.unavailable')
    case Code.Unauthenticated:
      return t('session.expired')
    case Code.NotFound:
      return t('shared.notFound')
    case Code.Aborted:
      return t('shared.aborted')
    case Code.ResourceExhausted:
      return rawMessage || t('shared.exhausted')
    case Code.Internal:
      return t('shared.internal', { message: rawMessage })
    case Code.Unknown:
      // The browser's own words for a connection that failed say nothing to a reader.
      return error instanceof ConnectError && error.cause instanceof TypeError ? t('shared.unavailable') : rawMessage
    default:
      return rawMessage
  }
}
