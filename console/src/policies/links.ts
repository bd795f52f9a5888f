export function policyURL(name: string) {
  return `/policies/${encodeURIComponent(name)}`
}
