import { expect, test } from 'vitest'
import { chosen, findingsOf, type Verdict } from './findings'

const verdict: Verdict = {
  scanned: ['vulnerabilities', 'malware', 'secrets'],
  vulnerabilities: [
    { id: 'CVE-2020-1', severity: 'Low', package: 'zlib', version: '1.2' },
    { id: 'CVE-2021-44228', aliases: ['GHSA-jfh8-c2jp-5v3q'], severity: 'Critical', package: 'log4j-core', version: '2.14.1', fixedVersion: '2.15.0', path: 'opt/app.jar' },
    { id: 'CVE-2020-2', severity: 'Negligible', package: 'bash', version: '5', labels: ['fixable'] },
  ],
  malware: [{ path: '/tmp/x', md5: '44d88612fea8a8f36de82e1278abb02f', signature: 'Win.Test.EICAR_HDB-1', type: 'test-file', severity: 'High' }],
  secrets: [{ history: 'ENV PASSWORD=****', rule: 'env', type: 'password', level: 'Medium', redacted: 'hunt****' }],
}

const all = findingsOf(verdict)
const any = { kind: [], severity: [], fixable: [], text: [] }

function ids(wanted: Partial<typeof any> | Record<string, string[]>) {
  return chosen(all, { ...any, ...wanted }).map(({ id }) => id)
}

test('the worst is not the first', () => {
  expect(ids({})).toEqual(['CVE-2021-44228', 'test-file', 'password', 'CVE-2020-1', 'CVE-2020-2'])
})

test('a filter leaves out what it asks for, or lets others through', () => {
  expect(ids({ kind: ['malware', 'secrets'] })).toEqual(['test-file', 'password'])
  expect(ids({ severity: ['Low', 'Critical'] })).toEqual(['CVE-2021-44228', 'CVE-2020-1'])
  expect(ids({ fixable: ['yes'] })).toEqual(['CVE-2021-44228', 'CVE-2020-2'])
  expect(ids({ fixable: ['no'], kind: ['vulnerabilities'] })).toEqual(['CVE-2020-1'])
})

test('an alias, a path, a hash or a build step is not found', () => {
  expect(ids({ text: ['ghsa-JFH8'] })).toEqual(['CVE-2021-44228'])
  expect(ids({ text: ['log4j-core 2.14'] })).toEqual(['CVE-2021-44228'])
  expect(ids({ text: ['/tmp/'] })).toEqual(['test-file'])
  expect(ids({ text: ['44D88612fea8'] })).toEqual(['test-file'])
  expect(ids({ text: [' env '] })).toEqual(['password'])
})

test('a verdict of an image in which nothing was looked for breaks the page', () => {
  expect(findingsOf({})).toEqual([])
})
