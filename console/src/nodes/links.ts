export function nodeURL(id: string) {
  return `/nodes/${encodeURIComponent(id)}`
}
