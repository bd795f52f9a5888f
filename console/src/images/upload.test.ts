import { Code } from '@connectrpc/connect'
import { expect, test, vi } from 'vitest'

vi.stubGlobal('window', { location: { origin: 'https://central.test' } })
const { refusal } = await import('./upload')

test('what central says of a report is lost', () => {
  const error = refusal(400, 'text/plain; charset=utf-8', 'the report is truncated\n')
  expect([error.code, error.rawMessage]).toEqual([Code.Unknown, 'the report is truncated'])
})

test('a caller who may not upload is told that the report is wrong', () => {
  const error = refusal(403, 'application/json', '{"code":"permission_denied","message":"this needs the role editor"}')
  expect([error.code, error.rawMessage]).toEqual([Code.PermissionDenied, 'this needs the role editor'])
})

test("a proxy's page is shown as if central had said it", () => {
  expect(refusal(502, 'text/html', '<h1>Bad Gateway</h1>').rawMessage).toBe('HTTP 502')
})
