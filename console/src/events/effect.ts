import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt'
import { parse } from 'yaml'
import type { PolicyRevision } from '../api/portcullis/v1/policies_pb'

interface Spec {
  enabled?: boolean
  effect?: { mode?: string; days?: number; since?: string }
}

function specOf({ document }: PolicyRevision): Spec {
  return (parse(document) as { spec?: Spec } | null)?.spec ?? {}
}

const day = 24 * 60 * 60 * 1000

// blocksFrom is from when on the policy blocked that was in force at a time: since it was switched on so,
// or since its observation ended. Revisions are the newest first; undefined where they do not reach back
// far enough, which more says.
export function blocksFrom(revisions: PolicyRevision[], more: boolean, at: Timestamp): Date | undefined {
  const then = timestampDate(at)
  const until = revisions.filter(({ time }) => time && timestampDate(time) <= then)
  const { enabled, effect } = until[0] ? specOf(until[0]) : {}
  if (!enabled || !effect) return undefined
  const end = until.findIndex((revision) => {
    const spec = specOf(revision)
    return !spec.enabled || spec.effect?.mode !== effect.mode
  })
  if (end < 0 && more && !effect.since) return undefined
  const begin = until.at(end < 0 ? -1 : end - 1)!
  if (effect.mode !== 'Observe') return timestampDate(begin.time!)
  const since = effect.since ? new Date(effect.since) : timestampDate(begin.time!)
  return new Date(since.getTime() + (effect.days ?? 0) * day)
}
