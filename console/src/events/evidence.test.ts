import { expect, test } from 'vitest'
import { matchesOf, withoutPolicy } from './evidence'

function pieces(...evidence: object[]) {
  return matchesOf([{ policy: 'p', template: 'RiskyImage', action: 'block', evidence: evidence as [] }])[0]!.pieces
}

test('an exemption names a finding by what central does not know it by', () => {
  const found = pieces(
    { vulnerability: { id: 'CVE-2021-44228', severity: 'Critical', package: 'log4j-core', version: '2.14.1', fixedVersion: '2.17.1', path: 'app.jar' } },
    { malware: { path: '/x', md5: 'aa', sha256: 'bb', signature: 'Unix.Trojan.Mirai-1', type: 'trojan', severity: 'Critical' } },
    { malware: { path: '/y', md5: 'cc', signature: 'Eicar', type: 'test-file', severity: 'Low' } },
    { secret: { history: 'ENV PASSWORD=****', rule: 'password', type: 'password', level: 'High', sha256: 'dd' } },
    { ask: { parameter: 'host-path', detail: '/etc' } },
    { unknown: { kind: 'malware', failed: true } },
  )
  expect(found.map(({ finding }) => finding)).toEqual(['CVE-2021-44228', 'bb', 'cc', 'dd', '', ''])
})

test('where something was found is not said', () => {
  const [vulnerability, malware, secret, ask] = pieces(
    { vulnerability: { id: 'CVE-1', severity: 'High', package: 'a', version: '1', path: 'app.jar' } },
    { malware: { path: '/x', md5: 'aa', signature: 's', type: 'miner', severity: 'High', engine: 'clamav' } },
    { secret: { history: 'ENV A=****', rule: 'r', type: 'password', level: 'High', redacted: 'abcd****' } },
    { ask: { parameter: 'host-path', detail: '/etc' } },
  )
  expect([vulnerability, malware, secret, ask].map((one) => one!.place)).toEqual(['app.jar', '/x', 'ENV A=****', '/etc'])
  expect(malware!.details).toEqual(['MD5 aa', 'clamav'])
  expect(secret!.details).toEqual(['abcd****'])
})

test('a kind of evidence that a newer central knows breaks the page', () => {
  expect(pieces({ future: {} })).toEqual([])
  expect(matchesOf([{ policy: 'p', template: 'RiskyImage', action: 'block', evidence: null }])[0]!.pieces).toEqual([])
})

test('a reason loses more than the name of its own policy', () => {
  const both = 'policy "no criticals": CVE-2021-44228 Critical; policy "no secrets": private-key'
  expect(withoutPolicy(both, 'no criticals')).toBe('CVE-2021-44228 Critical; policy "no secrets": private-key')
  expect(withoutPolicy(both, 'no secrets')).toBe(both)
  expect(withoutPolicy('the image was not scanned', '')).toBe('the image was not scanned')
})
