import type { Ask, Event } from '../api/portcullis/v1/events_pb'
import { vocabulary } from '../policies/vocabulary'
import { matchesOf } from './evidence'

const ordinary = new Set(vocabulary.parameters.filter(({ byName }) => byName).map(({ name }) => name))

// A privileged container has every capability along with it; each says so in its detail.
const bringers = ['privileged', 'all-capabilities']

// splitAsks tells what goes beyond an ordinary container, or what a policy has named, from the rest: what
// the runtime gives to every container, and what came along with another ask.
export function splitAsks({ asks, matches }: Pick<Event, 'asks' | 'matches'>): { beyond: Ask[]; rest: Ask[] } {
  const named = new Set(matchesOf(matches).flatMap(({ pieces }) => pieces.filter(({ kind }) => kind === 'ask').map(({ name }) => name)))
  const isBeyond = ({ parameter, detail }: Ask) => named.has(parameter) || (!ordinary.has(parameter) && !bringers.includes(detail))
  return { beyond: asks.filter(isBeyond), rest: asks.filter((ask) => !isBeyond(ask)) }
}
