package main

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"portcullis/scanner-client/verdict"
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
			title: "(b) one with a critical CVE", policies: blocking, image: "risky", pod: "legacy",
			want: "blocked", wantEntry: "block by no criticals",
		},
		{
			title: "(c) the same, observed", policies: observing, image: "risky", pod: "legacy-observed",
			want: `runs, prints "I am risky"`, wantEntry: "alert by no criticals",
		},
		{
			title: "(d) a privileged container", policies: observing, image: "clean", pod: "debug", privileged: true,
			want: "blocked", wantEntry: "block by no privileges",
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
` + privileged

	observing = `apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no criticals}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Observe, days: 7}
  risk: {vulnerabilities: {severities: [Critical]}}
  scope: {images: {all: true}}
` + privileged

	privileged = `---
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

// found is what a scanner would say of the risky image.
var found = []verdict.Vulnerability{
	{ID: "CVE-2021-44228", Severity: verdict.Critical, Package: "log4j-core", Version: "2.14.1", FixedVersion: "2.17.1", Type: "maven"},
	{ID: "CVE-2022-42889", Severity: verdict.Critical, Package: "commons-text", Version: "1.9", FixedVersion: "1.10.0", Type: "maven"},
	{ID: "CVE-2021-45105", Severity: verdict.High, Package: "log4j-core", Version: "2.14.1", FixedVersion: "2.17.1", Type: "maven"},
}

func blocked(err error) bool { return status.Code(err) == codes.PermissionDenied }

func message(err error) string { return status.Convert(err).Message() }
