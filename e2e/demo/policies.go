package main

// policies are the operator's files. criticals has its effect filled in.
var policies = map[string]string{
	"malware.yaml": `apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no malware}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Immediate}
  risk: {malware: {}}
  scope: {images: {all: true}}
`,
	"secrets.yaml": `apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no secrets}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Immediate}
  risk: {secrets: {levels: [Critical, High]}}
  scope: {images: {all: true}}
`,
	"privileges.yaml": `apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no privileges}
spec:
  template: PrivilegedStart
  enabled: true
  effect: {mode: Immediate}
  privileges: {parameters: [privileged]}
  scope: {images: {all: true}}
`,
}

const criticals = `apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no criticals}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: %s}
  risk: {vulnerabilities: {severities: [Critical]}}
  scope: {images: {all: true}}
`
