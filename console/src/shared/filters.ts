import { useSearchParams } from 'react-router'

// Filters stand in the URL, so that a list can be linked to, reloaded and gone back to. Every filter has
// any number of values; most have at most one.
export type Filters<Name extends string> = Record<Name, string[]>

// readFilters takes what a URL says of the given filters. Values that are not among those a filter allows
// are left out: an old link shows more rather than nothing.
export function readFilters<Name extends string>(params: URLSearchParams, allowed: Record<Name, readonly string[] | 'any'>): Filters<Name> {
  const filters = {} as Filters<Name>
  for (const name of Object.keys(allowed) as Name[]) {
    const values = [...new Set(params.getAll(name).filter(Boolean))]
    const only = allowed[name]
    filters[name] = only === 'any' ? values : values.filter((value) => only.includes(value))
  }
  return filters
}

// writeFilters keeps what the URL says besides.
export function writeFilters<Name extends string>(params: URLSearchParams, filters: Partial<Filters<Name>>): URLSearchParams {
  const next = new URLSearchParams(params)
  for (const [name, values] of Object.entries<string[] | undefined>(filters)) {
    next.delete(name)
    for (const value of values ?? []) if (value) next.append(name, value)
  }
  return next
}

export function useFilters<Name extends string>(allowed: Record<Name, readonly string[] | 'any'>) {
  const [params, setParams] = useSearchParams()
  const filters = readFilters(params, allowed)
  return {
    filters,
    any: Object.values<string[]>(filters).some((values) => values.length > 0),
    // Typing a search must not fill the browser's history.
    set: (changed: Partial<Filters<Name>>) => setParams((before) => writeFilters(before, changed), { replace: true }),
    clear: () => setParams({}, { replace: true }),
  }
}
