export function exemptionURL(name: string) {
  return `/exemptions/${encodeURIComponent(name)}`
}
