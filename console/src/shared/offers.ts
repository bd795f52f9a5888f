// offersOf are the suggestions for a text: what was found and is not chosen yet, and last the text as it
// stands. Enter takes the first. While the search is on there is none, or Enter would take the text
// before one sees what it might have meant.
export function offersOf(found: string[] | undefined, chosen: string[], typed: string): string[] {
  if (!found) return []
  const left = [...new Set(found)].filter((name) => !chosen.includes(name))
  const text = typed.trim()
  return !text || left.includes(text) || chosen.includes(text) ? left : [...left, typed]
}
