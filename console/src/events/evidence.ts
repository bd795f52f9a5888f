import type { JsonObject } from '@bufbuild/protobuf'

// Match is policy.Match in its JSON form. Central writes it, and leaves out what is empty.
export interface Match {
  policy: string
  template: string
  action: string
  enforceAt?: string
  evidence: Evidence[] | null
  omitted?: number
}

// Evidence has exactly one of its fields.
interface Evidence {
  vulnerability?: { id: string; severity: string; package: string; version: string; fixedVersion?: string; path?: string }
  malware?: { path: string; md5?: string; sha256?: string; signature: string; engine?: string; type: string; severity: string }
  secret?: { path?: string; history?: string; rule: string; type: string; level: string; redacted?: string; sha256?: string }
  ask?: { parameter: string; detail?: string }
  unknown?: { kind: string; failed?: boolean }
}

export type EvidenceKind = keyof Evidence

// Piece is a piece of evidence of any kind, as the table shows it.
export interface Piece {
  kind: EvidenceKind
  severity: string
  // A CVE, a signature, a detector's rule, a privileged parameter or a kind of risk.
  name: string
  // Type of malware or secret.
  type: string
  component: string
  version: string
  fixedVersion: string
  // The file, the build step, or what exactly was asked for.
  place: string
  // Hashes, the engine, and what may be shown of a secret.
  details: string[]
  // What an exemption names it by; empty where only the image can be exempted.
  finding: string
}

const nothing = { severity: '', type: '', component: '', version: '', fixedVersion: '', place: '', details: [], finding: '' }

function given(...details: (string | false | undefined)[]) {
  return details.filter((detail) => detail) as string[]
}

function piece({ vulnerability, malware, secret, ask, unknown }: Evidence): Piece | undefined {
  if (vulnerability) {
    const { id, severity, version, fixedVersion = '', path = '' } = vulnerability
    return { ...nothing, kind: 'vulnerability', severity, name: id, component: vulnerability.package, version, fixedVersion, place: path, finding: id }
  }
  if (malware) {
    const { severity, signature, type, path, md5 = '', sha256 = '', engine } = malware
    const details = given(md5 && `MD5 ${md5}`, sha256 && `SHA-256 ${sha256}`, engine)
    return { ...nothing, kind: 'malware', severity, name: signature, type, place: path, details, finding: sha256 || md5 }
  }
  if (secret) {
    const { level, rule, type, path, history, redacted, sha256 = '' } = secret
    return { ...nothing, kind: 'secret', severity: level, name: rule, type, place: path ?? history ?? '', details: given(redacted, sha256 && `SHA-256 ${sha256}`), finding: sha256 }
  }
  if (ask) return { ...nothing, kind: 'ask', name: ask.parameter, place: ask.detail ?? '' }
  if (unknown) return { ...nothing, kind: 'unknown', name: unknown.kind }
  return undefined
}

// matchesOf reads what matched, the worst first. A kind of evidence that a newer central knows is left out.
export function matchesOf(matches: JsonObject[]) {
  return (matches as unknown as Match[]).map((match) => ({ ...match, pieces: (match.evidence ?? []).flatMap((one) => piece(one) ?? []) }))
}

// withoutPolicy leaves out the policy that a reason begins with: beside the policy's name there is no room to say it again.
export function withoutPolicy(because: string, policy: string) {
  const begin = `policy ${JSON.stringify(policy)}: `
  return because.startsWith(begin) ? because.slice(begin.length) : because
}
