package main

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// scene is one container start, what should become of it, and what has.
type scene struct {
	title      string
	policies   string // documents in force
	image      string // of stage.images
	pod        string // its own, so that the journal's entries can be told apart
	privileged bool

	want      string
	wantEntry string // of the journal, "none" for none
	seen      string
}

func scenes() []scene {
	return []scene{
		{
			title: "(a) a clean image", policies: blocking, image: "clean", pod: "shop",
			want: `runs, prints "I am clean"`, wantEntry: "none",
		},
		{
			title: "(b) one with a critical CVE", policies: blocking, image: "vulnerable", pod: "legacy",
			want: "blocked", wantEntry: "block by no criticals",
		},
		{
			title: "(c) the same, observed", policies: observing, image: "vulnerable", pod: "legacy-observed",
			want: `runs, prints "I am vulnerable"`, wantEntry: "alert by no criticals",
		},
		{
			title: "(d) a privileged container", policies: observing, image: "clean", pod: "debug", privileged: true,
			want: "blocked", wantEntry: "block by no privileges",
		},
		{
			title: "(e) one with malware", policies: observing, image: "infected", pod: "tool",
			want: "blocked", wantEntry: "block by no malware",
		},
		{
			title: "(f) one with a private key", policies: observing, image: "leaking", pod: "backup",
			want: "blocked", wantEntry: "block by no secrets",
		},
		{
			title: "(g) one with a password in ENV", policies: observing, image: "careless", pod: "report",
			want: "blocked", wantEntry: "block by no secrets",
		},
	}
}

const (
	blocking = `apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no criticals}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Immediate}
  risk: {vulnerabilities: {severities: [Critical]}}
  scope: {images: {all: true}}
` + others

	observing = `apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no criticals}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Observe, days: 7}
  risk: {vulnerabilities: {severities: [Critical]}}
  scope: {images: {all: true}}
` + others

	others = `---
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no malware}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Immediate}
  risk: {malware: {}}
  scope: {images: {all: true}}
---
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no secrets}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Immediate}
  risk: {secrets: {levels: [Critical, High]}}
  scope: {images: {all: true}}
---
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no privileges}
spec:
  template: PrivilegedStart
  enabled: true
  effect: {mode: Immediate}
  privileges: {parameters: [privileged]}
  scope: {images: {all: true}}
`
)

func blocked(err error) bool { return status.Code(err) == codes.PermissionDenied }

func message(err error) string { return status.Convert(err).Message() }
