// starters are what a new policy begins with: it observes and is off, so that it stops nothing.
export const starters = {
  RiskyImage: `apiVersion: portcullis/v1
kind: ImagePolicy
metadata:
  name: ""
spec:
  template: RiskyImage
  enabled: false
  effect:
    mode: Observe
    days: 7
  risk:
    vulnerabilities:
      severities: [Critical, High]
  scope:
    images:
      all: true
`,
  PrivilegedStart: `apiVersion: portcullis/v1
kind: ImagePolicy
metadata:
  name: ""
spec:
  template: PrivilegedStart
  enabled: false
  effect:
    mode: Observe
    days: 7
  privileges:
    parameters: [high-risk]
    rule: DenySelected
  scope:
    images:
      all: true
`,
}
