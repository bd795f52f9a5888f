// Package gate answers: may this container be created, may it start?
//
// It joins who asks (the container, its sandbox and its image, as the runtime knows them) with what
// is known of the image (its verdict) and what is wanted (the policy bundle) into a decision, tells
// the event sink, and turns a Block into the refusal that the pod's owner reads.
package gate

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/policy"
	"portcullis/policy/privilege"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

// Runtime is what the gate asks of the container runtime itself.
type Runtime interface {
	ImageStatus(context.Context, *cri.ImageStatusRequest, ...grpc.CallOption) (*cri.ImageStatusResponse, error)
	ContainerStatus(context.Context, *cri.ContainerStatusRequest, ...grpc.CallOption) (*cri.ContainerStatusResponse, error)
	PodSandboxStatus(context.Context, *cri.PodSandboxStatusRequest, ...grpc.CallOption) (*cri.PodSandboxStatusResponse, error)
}

// Verdicts gives an image's verdict, scanner.ErrUnscanned when there is none, or another error when
// that could not be found out within the time budget. A verdict with an error is true and incomplete.
type Verdicts interface {
	Verdict(ctx context.Context, imageID string) (*verdict.Verdict, error)
	// Known returns what Verdict would, if that is ready in memory; known is false when it is not. It
	// never waits.
	Known(imageID string) (v *verdict.Verdict, known bool, err error)
}

// Bundles gives the bundle in force, nil when the node has none.
type Bundles interface {
	Current() *policy.Bundle
}

// Events is told of every Alert and Block, before the answer goes out, and what the pod's owner is told;
// that is nothing of an Alert. It must not block.
type Events interface {
	Record(at time.Time, operation string, c *policy.Container, d *policy.Decision, told string)
}

// Operation names, as metrics and events carry them.
const (
	createContainer = "CreateContainer"
	startContainer  = "StartContainer"
)

// Options of a Gate; zero values take the defaults.
type Options struct {
	Cluster string // this node's cluster, for policies scoped to clusters
	// NoBundle is the answer while the node has no policies; default Allow.
	NoBundle policy.Action
	Host     privilege.Host
	// Decided is told of every decision, Allow too. It may be nil.
	Decided func(operation string, d *policy.Decision, took time.Duration)
	// Started is told of every container that is let start. It must not block, and may be nil.
	Started func(at time.Time, c *policy.Container)
	Now     func() time.Time // default time.Now
	Log     *logrus.Logger
}

// remembered bounds how many sandboxes and how many containers are remembered. What was forgotten is
// asked of the runtime again, so the bound costs time at worst.
const remembered = 4096

// Gate is the proxy.Gate of this node. It is safe for concurrent use.
type Gate struct {
	runtime  Runtime
	verdicts Verdicts
	bundles  Bundles
	events   Events
	options  Options

	sandboxes  *lru.Cache[string, *cri.PodSandboxConfig]
	containers *lru.Cache[string, *subject]
	addresses  *lru.Cache[string, string] // of pods, by sandbox
	noBundle   *policy.Decision
}

// New makes a gate.
func New(runtime Runtime, verdicts Verdicts, bundles Bundles, events Events, options Options) *Gate {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Decided == nil {
		options.Decided = func(string, *policy.Decision, time.Duration) {}
	}
	if options.Started == nil {
		options.Started = func(time.Time, *policy.Container) {}
	}
	sandboxes, _ := lru.New[string, *cri.PodSandboxConfig](remembered) // fails for sizes below 1 only
	containers, _ := lru.New[string, *subject](remembered)
	addresses, _ := lru.New[string, string](remembered)
	return &Gate{
		runtime: runtime, verdicts: verdicts, bundles: bundles, events: events, options: options,
		sandboxes: sandboxes, containers: containers, addresses: addresses,
		noBundle: &policy.Decision{Action: options.NoBundle, Reason: policy.ReasonNoBundle},
	}
}

// subject is one container that a decision is about.
type subject struct {
	container policy.Container
	sandboxID string
	volumes   []policy.Image         // images mounted as volumes: their risk counts, their privileges do not exist
	alerted   atomic.Pointer[string] // what the last decision said if that was an Alert, else nil
	// config is what was asked for, kept only where the runtime may have made something else of it: a
	// name of an image or a link in a host path may have changed between our look and the runtime's.
	// Such a container is looked at again when it starts.
	config *cri.ContainerConfig
}

// judge decides on s and tells everyone. A Block comes back as the refusal.
func (g *Gate) judge(ctx context.Context, operation string, s *subject) error {
	began := time.Now()
	at := g.options.Now()
	c, d, err := g.decide(ctx, s, at)
	if err != nil {
		return status.FromContextError(err).Err()
	}
	g.options.Decided(operation, d, time.Since(began))
	if g.talkative() {
		g.options.Log.WithFields(logrus.Fields{
			"operation": operation, "action": d.Action, "because": d.Because(), "revision": d.Revision,
			"namespace": s.container.Namespace, "pod": s.container.Pod, "container": s.container.Name, "image": s.container.Image.ID,
		}).Debug("decided")
	}
	told := ""
	if d.Action == policy.Block {
		told = refusal(c, d)
	}
	if repeated := s.alreadyTold(d); d.Action != policy.Allow && !repeated {
		located := *c
		located.PodAddress = g.address(ctx, s.sandboxID)
		g.events.Record(at, operation, &located, d, told)
	}
	if d.Action == policy.Block {
		return status.Error(codes.PermissionDenied, told)
	}
	if operation == startContainer {
		g.options.Started(at, c)
	}
	return nil
}

// talkative says whether every decision is logged.
func (g *Gate) talkative() bool { return g.options.Log.IsLevelEnabled(logrus.DebugLevel) }

// addressTimeout bounds how long an event waits for the pod's address.
const addressTimeout = 200 * time.Millisecond

// address returns the pod's address, "" where there is none or it could not be had in a moment.
func (g *Gate) address(ctx context.Context, sandboxID string) string {
	if known, ok := g.addresses.Get(sandboxID); ok {
		return known
	}
	limited, cancel := context.WithTimeout(ctx, addressTimeout)
	defer cancel()
	answer, err := g.runtime.PodSandboxStatus(limited, &cri.PodSandboxStatusRequest{PodSandboxId: sandboxID})
	if err != nil {
		return ""
	}
	address := answer.GetStatus().GetNetwork().GetIp()
	g.addresses.Add(sandboxID, address)
	return address
}

// alreadyTold says whether the alert about a start is the one its creation has raised a moment ago:
// one container that starts is one event.
func (s *subject) alreadyTold(d *policy.Decision) bool {
	var now *string // not the decision, which keeps a whole verdict in memory
	if d.Action == policy.Alert {
		because := d.Because()
		now = &because
	}
	before := s.alerted.Swap(now)
	return before != nil && now != nil && *before == *now
}

// decide answers for the container's image, its privileges and the images it mounts; the strictest
// answer wins and all that matched is kept. It returns the container with the image that the answer is
// about. The error is ctx's.
func (g *Gate) decide(ctx context.Context, s *subject, at time.Time) (*policy.Container, *policy.Decision, error) {
	bundle := g.bundles.Current()
	if bundle == nil {
		return &s.container, g.noBundle, nil
	}
	knowledge, err := g.know(ctx, s.container.Image.ID)
	if err != nil {
		return nil, nil, err
	}
	about, d := &s.container, bundle.Decide(&s.container, knowledge, at)
	for _, image := range s.volumes {
		knowledge, err := g.know(ctx, image.ID)
		if err != nil {
			return nil, nil, err
		}
		mounted := s.container
		mounted.Image, mounted.Asks = image, nil
		v := bundle.Decide(&mounted, knowledge, at)
		if v.Action > d.Action {
			about = &mounted
		}
		d = policy.Stricter(d, v)
	}
	return about, d, nil
}

// recall returns the decision on s, if one is in memory that still holds, else nil. It never waits.
func (g *Gate) recall(s *subject, at time.Time) *policy.Decision {
	bundle := g.bundles.Current()
	if bundle == nil {
		return g.noBundle
	}
	v, known, err := g.verdicts.Known(s.container.Image.ID)
	if !known || len(s.volumes) > 0 || err != nil && !errors.Is(err, scanner.ErrUnscanned) {
		return nil
	}
	return bundle.Recall(&s.container, policy.Knowledge{Verdict: v}, at)
}

func (g *Gate) know(ctx context.Context, imageID string) (policy.Knowledge, error) {
	v, err := g.verdicts.Verdict(ctx, imageID)
	switch {
	case err == nil, errors.Is(err, scanner.ErrUnscanned):
		return policy.Knowledge{Verdict: v}, nil
	case ctx.Err() != nil:
		return policy.Knowledge{}, ctx.Err()
	}
	g.options.Log.WithError(err).WithField("image", imageID).Error("the image's verdict could not be had, or not all of it")
	return policy.Knowledge{Verdict: v, Failed: true}, nil
}
