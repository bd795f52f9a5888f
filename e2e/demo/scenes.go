package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"portcullis/e2e/lab"
)

// scene is one container start, what should become of it, and what has.
type scene struct {
	title      string
	observe    bool   // policy "no criticals" only watches
	image      string // of stage.images
	pod        string // its own, so that what is recorded can be told apart
	privileged bool

	want       string
	wantRecord string // in journal and central, "none" for none
	seen       string
}

func scenes() []scene {
	return []scene{
		{
			title: "(a) a clean image", image: "clean", pod: "shop",
			want: `runs, prints "I am clean"`, wantRecord: "none",
		},
		{
			title: "(b) one with a critical CVE", image: "vulnerable", pod: "legacy",
			want: "blocked", wantRecord: "block by no criticals",
		},
		{
			title: "(c) the same, observed", observe: true, image: "vulnerable", pod: "legacy-observed",
			want: `runs, prints "I am vulnerable"`, wantRecord: "alert by no criticals",
		},
		{
			title: "(d) a privileged container", observe: true, image: "clean", pod: "debug", privileged: true,
			want: "blocked", wantRecord: "block by no privileges",
		},
		{
			title: "(e) one with malware", observe: true, image: "infected", pod: "tool",
			want: "blocked", wantRecord: "block by no malware",
		},
		{
			title: "(f) one with a private key", observe: true, image: "leaking", pod: "backup",
			want: "blocked", wantRecord: "block by no secrets",
		},
		{
			title: "(g) one with a password in ENV", observe: true, image: "careless", pod: "report",
			want: "blocked", wantRecord: "block by no secrets",
		},
	}
}

// play brings the scene's policy into force and runs its container, as a kubelet would.
func (s *stage) play(ctx context.Context, scene *scene) error {
	say("\n%s", scene.title)
	if scene.observe && !s.observing {
		s.observing = true
		say("  The policy is edited: it is to watch for 7 days, and only then to block.")
		if err := s.operator.write("policies/criticals.yaml", fmt.Sprintf(criticals, "Observe, days: 7")); err != nil {
			return err
		}
		if err := s.apply(ctx); err != nil {
			return err
		}
	}
	image := s.images[scene.image]
	output, err := startContainer(ctx, s.cri, lab.Pod{Name: scene.pod, Namespace: "demo", Privileged: scene.privileged}, image)
	switch {
	case err == nil:
		scene.seen = fmt.Sprintf("runs, prints %q", strings.TrimSpace(output))
		say("  it %s", scene.seen)
	case blocked(err):
		scene.seen = "blocked"
		say("  the pod's owner reads:\n%s", wrap(message(err), "    "))
	default:
		scene.seen = err.Error()
		say("  failed: %v", err)
	}
	return nil
}

// startContainer runs a pod with one container, and returns what that printed.
func startContainer(ctx context.Context, cri *lab.CRI, pod lab.Pod, image image) (output string, err error) {
	sandbox, err := cri.RunPod(ctx, pod)
	if err != nil {
		return "", err
	}
	return cri.Run(ctx, sandbox, lab.Container{Name: "main", Image: image.id, Reference: image.reference, Privileged: pod.Privileged})
}

func blocked(err error) bool { return status.Code(err) == codes.PermissionDenied }

func message(err error) string { return status.Convert(err).Message() }

// apply has the operator apply the policies, and waits until the node enforces them.
func (s *stage) apply(ctx context.Context) error {
	before, err := s.portcullisd.Metric(bundleInForce)
	if err != nil {
		return err
	}
	if _, err := s.operator.do("", "apply", "-f", "policies"); err != nil {
		return err
	}
	began := time.Now()
	if err := s.metricExceeds(ctx, bundleInForce, before); err != nil {
		return fmt.Errorf("the changed policies had no effect: %w", err)
	}
	say("  in force on the node after %d ms", time.Since(began).Milliseconds())
	return nil
}

// Series of the node.
const (
	bundleInForce = "portcullis_uplink_bundle"
	connected     = "portcullis_uplink_connected"
	verdictsKnown = `portcullis_verdict_source_answers_total{result="found",source="central"}`
)

// metricExceeds waits until a series of the node is above a value.
func (s *stage) metricExceeds(ctx context.Context, series string, value float64) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := s.portcullisd.Metric(series)
		if err != nil || now > value {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s stays %v", series, now)
		case <-tick.C:
		}
	}
}
