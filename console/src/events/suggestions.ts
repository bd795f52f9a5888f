import { central } from '../central'
import type { Suggestions } from '../shared/SuggestSelect'

const always = () => true

// What the filters of events suggest. Events outlive policies and nodes, so any other text may be chosen.
export const suggestions = {
  policy: {
    key: 'policies',
    worth: always,
    find: async (search) => (await central.policies.listPolicies({ search, pageSize: 50 })).policies.map(({ name }) => name),
  },
  node: {
    key: 'nodes',
    worth: always,
    find: async (search) => (await central.nodes.listNodes({ search, pageSize: 50 })).nodes.map(({ name }) => name),
  },
  cluster: {
    key: 'clusters',
    worth: always,
    find: async (search) => holding(search, (await central.nodes.listNodes({ pageSize: 200 })).nodes.map(({ cluster }) => cluster)),
  },
  namespace: {
    key: 'namespaces',
    worth: always,
    // Central keeps no list of namespaces; those of the newest events are the likely ones.
    find: async (search) => holding(search, (await central.events.listEvents({ pageSize: 100 })).events.map(({ namespace }) => namespace)),
  },
} as const satisfies Record<string, Suggestions>

function holding(search: string, names: string[]) {
  return [...new Set(names)].filter((name) => name && name.toLowerCase().includes(search.toLowerCase())).sort()
}
