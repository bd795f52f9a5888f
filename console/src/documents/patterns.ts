// How patterns of images are held against names: as package policy does, for a hint beside the pattern.

export interface Names {
  id: string
  tags: string[]
  digests: string[]
}

function parse(text: string) {
  const [name = '', digest = ''] = text.split('@')
  const colon = name.lastIndexOf(':')
  const tagged = colon > name.lastIndexOf('/')
  const whole = tagged ? name.slice(0, colon) : name
  const slash = whole.indexOf('/')
  const first = whole.slice(0, Math.max(slash, 0))
  const hasRegistry = slash >= 0 && (/[.:*?]/.test(first) || first === 'localhost')
  let registry = hasRegistry ? first.toLowerCase().replace(/:443$/, '') : 'docker.io'
  if (registry === 'index.docker.io' || registry === 'registry-1.docker.io') registry = 'docker.io'
  let path = hasRegistry ? whole.slice(slash + 1) : whole
  if (registry === 'docker.io' && !path.includes('/') && path !== '**') path = `library/${path}`
  return { registry, path, repository: `${registry}/${path}`, tag: tagged ? name.slice(colon + 1) : '', digest }
}

// covers says whether a text is of a pattern in which * ends at a separator. Its time does not explode,
// whoever wrote the pattern.
function covers(pattern: string, text: string, separator?: string) {
  // Up to where the text may be covered so far.
  let reached = new Set([0])
  for (const token of pattern.match(/\*\*|[^]/g) ?? []) {
    const next = new Set<number>()
    for (const start of reached) {
      if (token.startsWith('*')) {
        // Where another run came by already, it went on from there.
        for (let end = start; end <= text.length && !next.has(end); end++) {
          next.add(end)
          if (token === '*' && text[end] === separator) break
        }
      } else if (start < text.length && (token === '?' ? text[start] !== separator : token === text[start])) next.add(start + 1)
    }
    reached = next
  }
  return reached.has(text.length)
}

const isID = (text: string) => /^sha256:[0-9a-f]{64}$/.test(text)

export function selects(pattern: string, image: Names): boolean {
  if (isID(pattern)) return pattern === image.id
  const { repository, tag, digest } = parse(pattern)
  const ofRepository = (names: string[]) => names.map(parse).filter((name) => covers(repository, name.repository, '/'))
  const tags = ofRepository(image.tags)
  const digests = ofRepository(image.digests)
  if (!tag && !digest) return tags.length + digests.length > 0
  return (!tag || tags.some((name) => covers(tag, name.tag))) && (!digest || digests.some((name) => name.digest === digest))
}

// searchOf is the longest text that every image of a pattern has in its name or ID.
export function searchOf(pattern: string): string {
  if (isID(pattern)) return pattern
  const { registry, path, tag } = parse(pattern)
  // A name may spell docker.io and its library otherwise.
  const literals = (text: string) => text.split(/[*?/]+/).filter((piece) => piece !== 'library')
  const longest = (pieces: string[]) => pieces.reduce((best, piece) => (piece.length > best.length ? piece : best), '')
  return (longest([...literals(path), ...literals(tag)]) || (registry === 'docker.io' ? '' : longest(literals(registry)))).slice(0, 200)
}
