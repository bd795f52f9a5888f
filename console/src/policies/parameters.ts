import { vocabulary } from './vocabulary'

const { parameters, parameterClasses } = vocabulary

function ofClass(name: string) {
  return parameters.filter((parameter) => parameter.class === name && !parameter.byName).map((parameter) => parameter.name)
}

// plain is a capability without the CAP_ and the case that documents may write.
function plain(name: string) {
  const capability = name.toUpperCase().replace(/^CAP_/, '')
  return parameters.some((parameter) => parameter.name === capability) ? capability : name
}

// expand returns the single parameters that a policy's list selects; no list is every class.
export function expand(selected: string[] | undefined): Set<string> {
  return new Set((selected ?? parameterClasses).flatMap((name) => (parameterClasses.includes(name) ? ofClass(name) : [plain(name)])))
}

// compress writes single parameters as a list, whole classes by their name.
export function compress(single: Set<string>): string[] {
  const whole = parameterClasses.filter((name) => ofClass(name).every((parameter) => single.has(parameter)))
  const covered = new Set(whole.flatMap(ofClass))
  const known = parameters.map((parameter) => parameter.name).filter((name) => single.has(name) && !covered.has(name))
  const unknown = [...single].filter((name) => !parameters.some((parameter) => parameter.name === name))
  return [...whole, ...known, ...unknown]
}

// toggle selects or clears a class, without what is by name only, or a single parameter.
export function toggle(selected: string[] | undefined, name: string): string[] {
  const single = expand(selected)
  const names = parameterClasses.includes(name) ? ofClass(name) : [name]
  const add = !names.every((parameter) => single.has(parameter))
  for (const parameter of names) {
    if (add) single.add(parameter)
    else single.delete(parameter)
  }
  return compress(single)
}
