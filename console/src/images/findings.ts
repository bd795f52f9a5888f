import type { JsonObject } from '@bufbuild/protobuf'
import { vocabulary } from '../policies/vocabulary'

export const kinds = ['vulnerabilities', 'malware', 'secrets'] as const

export type Kind = (typeof kinds)[number]

// Finding is one of any kind, as the list shows it.
export interface Finding {
  key: string
  kind: Kind
  severity: string
  // A CVE, or the type of malware or secret.
  id: string
  // What else it goes by: aliases, the engine's signature, the detector's rule.
  names: string[]
  // The package and its installed version.
  component: string
  fixedVersion: string
  fixable: boolean
  // The file or the build step.
  place: string
  // Hashes, and what may be shown of a secret.
  evidence: string[]
  labels: string[]
}

// Verdict is what a list needs of the verdict's JSON form, docs/verdicts.md. Central writes it, and leaves out what is empty.
export interface Verdict {
  scanned?: string[]
  skipped?: { kind: string; what: string }[]
  vulnerabilities?: Vulnerability[]
  malware?: Malware[]
  secrets?: Secret[]
}

interface Vulnerability {
  id: string
  aliases?: string[]
  severity: string
  package: string
  version: string
  fixedVersion?: string
  path?: string
  labels?: string[]
}

interface Malware {
  path: string
  md5?: string
  sha256?: string
  signature: string
  engine?: string
  type: string
  severity: string
}

interface Secret {
  path?: string
  history?: string
  rule: string
  type: string
  level: string
  redacted?: string
}

export function asVerdict(fields: JsonObject) {
  return fields as unknown as Verdict
}

function some(...texts: (string | undefined)[]) {
  return texts.filter((text): text is string => Boolean(text))
}

function ofVulnerability(v: Vulnerability) {
  const labels = v.labels ?? []
  return {
    severity: v.severity,
    id: v.id,
    names: v.aliases ?? [],
    component: some(v.package, v.version).join(' '),
    fixedVersion: v.fixedVersion ?? '',
    fixable: Boolean(v.fixedVersion) || labels.includes('fixable'),
    place: v.path ?? '',
    evidence: [],
    labels,
  }
}

const none = { component: '', fixedVersion: '', fixable: false, labels: [] }

function ofMalware(m: Malware) {
  return { ...none, severity: m.severity, id: m.type, names: some(m.signature, m.engine), place: m.path, evidence: some(m.md5 && `MD5 ${m.md5}`, m.sha256 && `SHA-256 ${m.sha256}`) }
}

function ofSecret(s: Secret) {
  return { ...none, severity: s.level, id: s.type, names: some(s.rule), place: s.path ?? s.history ?? '', evidence: some(s.redacted) }
}

// severity ranks the worst first; what is not known comes last.
function rank(severity: string) {
  const index = vocabulary.severities.indexOf(severity)
  return index < 0 ? vocabulary.severities.length : index
}

// findingsOf lists what a verdict has found, the worst first.
export function findingsOf(verdict: Verdict): Finding[] {
  const found = [
    ...(verdict.malware ?? []).map((m) => ({ kind: 'malware' as const, ...ofMalware(m) })),
    ...(verdict.secrets ?? []).map((s) => ({ kind: 'secrets' as const, ...ofSecret(s) })),
    ...(verdict.vulnerabilities ?? []).map((v) => ({ kind: 'vulnerabilities' as const, ...ofVulnerability(v) })),
  ]
  return found.toSorted((a, b) => rank(a.severity) - rank(b.severity)).map((finding, index) => ({ key: String(index), ...finding }))
}

interface Wanted {
  kind: string[]
  severity: string[]
  fixable: string[]
  text: string[]
}

// chosen are those that a filter lets through; an empty one lets all.
export function chosen(findings: Finding[], { kind, severity, fixable, text }: Wanted) {
  const part = (text[0] ?? '').trim().toLowerCase()
  const holds = (finding: Finding) =>
    [finding.id, ...finding.names, finding.component, finding.place, ...finding.evidence].some((field) => field.toLowerCase().includes(part))
  return findings.filter(
    (finding) =>
      (kind.length === 0 || kind.includes(finding.kind)) &&
      (severity.length === 0 || severity.includes(finding.severity)) &&
      (fixable.length === 0 || fixable.includes(finding.fixable ? 'yes' : 'no')) &&
      (part === '' || holds(finding)),
  )
}
