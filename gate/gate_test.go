package gate_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/gate"
	"portcullis/policy"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

const policies = `
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no criticals}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Immediate}
  risk: {vulnerabilities: {severities: [Critical]}}
  scope: {images: {all: true}}
---
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: watch highs}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Observe, days: 7}
  risk: {vulnerabilities: {severities: [High]}}
  scope: {images: {all: true}}
`

// runtime holds images, sandboxes and containers as a container runtime does.
type runtime struct {
	images     map[string]*cri.Image // by any name
	sandboxes  map[string]*cri.PodSandboxConfig
	containers map[string]*cri.ContainerStatusResponse
	status     *cri.PodSandboxStatus // what is told of every sandbox
	down       error
}

func (r *runtime) ImageStatus(_ context.Context, request *cri.ImageStatusRequest, _ ...grpc.CallOption) (*cri.ImageStatusResponse, error) {
	return &cri.ImageStatusResponse{Image: r.images[request.GetImage().GetImage()]}, r.down
}

func (r *runtime) PodSandboxStatus(_ context.Context, request *cri.PodSandboxStatusRequest, _ ...grpc.CallOption) (*cri.PodSandboxStatusResponse, error) {
	config, ok := r.sandboxes[request.GetPodSandboxId()]
	if !ok {
		return nil, status.Error(codes.NotFound, "no such sandbox")
	}
	if config == nil {
		return &cri.PodSandboxStatusResponse{Status: r.status}, nil
	}
	info, err := json.Marshal(map[string]any{"config": config})
	return &cri.PodSandboxStatusResponse{Status: &cri.PodSandboxStatus{
		Id: request.GetPodSandboxId(), Network: &cri.PodSandboxNetworkStatus{Ip: "10.0.0.7"},
	}, Info: map[string]string{"info": string(info)}}, err
}

func (r *runtime) ContainerStatus(_ context.Context, request *cri.ContainerStatusRequest, _ ...grpc.CallOption) (*cri.ContainerStatusResponse, error) {
	c, ok := r.containers[request.GetContainerId()]
	if !ok {
		return nil, status.Error(codes.NotFound, "no such container")
	}
	return c, nil
}

// container makes the runtime's answer about a container that was created from config and runs imageRef.
func container(t *testing.T, sandboxID, imageRef string, config *cri.ContainerConfig) *cri.ContainerStatusResponse {
	t.Helper()
	info, err := json.Marshal(map[string]any{"sandboxID": sandboxID, "config": config})
	require.NoError(t, err)
	return &cri.ContainerStatusResponse{Status: &cri.ContainerStatus{ImageRef: imageRef}, Info: map[string]string{"info": string(info)}}
}

// verdicts holds the severities found in each image; an image that is not there is unscanned.
type verdicts map[string][]verdict.Severity

var errSource = errors.New("source is down")

func (v verdicts) Verdict(ctx context.Context, id string) (*verdict.Verdict, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if v == nil {
		return nil, errSource
	}
	severities, ok := v[id]
	if !ok {
		return nil, scanner.ErrUnscanned
	}
	found := &verdict.Verdict{ImageID: id, Scanned: verdict.Kinds()}
	for _, severity := range severities {
		found.Vulnerabilities = append(found.Vulnerabilities, verdict.Vulnerability{
			ID: "CVE-2021-44228", Severity: severity, Package: "log4j-core", Version: "2.14.1", FixedVersion: "2.15.0", Type: "maven",
		})
	}
	return found, nil
}

// memory remembers what verdicts said, as the cache does.
type memory struct {
	verdicts
	known map[string]answer
	asked int
}

type answer struct {
	verdict *verdict.Verdict
	err     error
}

func (m *memory) Verdict(ctx context.Context, id string) (*verdict.Verdict, error) {
	m.asked++
	if a, ok := m.known[id]; ok {
		return a.verdict, a.err
	}
	v, err := m.verdicts.Verdict(ctx, id)
	if ctx.Err() == nil {
		m.known[id] = answer{v, err}
	}
	return v, err
}

func (m *memory) Known(id string) (*verdict.Verdict, bool, error) {
	a, ok := m.known[id]
	return a.verdict, ok, a.err
}

type bundle struct{ current *policy.Bundle }

func (b *bundle) Current() *policy.Bundle { return b.current }

func (b *bundle) set(t *testing.T, text string) {
	t.Helper()
	docs, err := policy.Parse(policy.Source{Name: "test.yaml", Data: []byte(text)})
	require.NoError(t, err)
	b.current, err = policy.Compile(docs, policy.Options{})
	require.NoError(t, err)
}

// recorded is one event.
type recorded struct {
	operation, pod string
	action         policy.Action
}

type events struct {
	list      []recorded
	told      []string
	addresses []string
}

func (e *events) Record(_ time.Time, operation string, c *policy.Container, d *policy.Decision, told string) {
	e.told, e.addresses = append(e.told, told), append(e.addresses, c.PodAddress)
	e.list = append(e.list, recorded{operation, c.Namespace + "/" + c.Pod, d.Action})
}

// fixture is a gate on a node with a clean, a critical and a high image, and one sandbox.
type fixture struct {
	*gate.Gate
	runtime *runtime
	bundle  *bundle
	events  *events
	known   *memory
	log     *logrus.Logger
	reasons []policy.Reason
}

func newFixture(t *testing.T, known verdicts, options gate.Options) *fixture {
	t.Helper()
	f := &fixture{
		runtime: &runtime{
			images: map[string]*cri.Image{}, containers: map[string]*cri.ContainerStatusResponse{},
			sandboxes: map[string]*cri.PodSandboxConfig{"box": {Metadata: &cri.PodSandboxMetadata{Name: "cart", Namespace: "shop", Uid: "u1"}}},
		},
		bundle: &bundle{}, events: &events{}, known: &memory{known, map[string]answer{}, 0},
	}
	for _, name := range []string{"clean", "critical", "high", "unscanned"} {
		image := &cri.Image{Id: "sha256:" + name, RepoTags: []string{"registry.example.com/" + name + ":1"}}
		f.runtime.images[image.Id], f.runtime.images[name] = image, image
	}
	f.bundle.set(t, policies)
	f.log, _ = test.NewNullLogger()
	options.Log = f.log
	options.Decided = func(_ string, d *policy.Decision, _ time.Duration) { f.reasons = append(f.reasons, d.Reason) }
	f.Gate = gate.New(f.runtime, f.known, f.bundle, f.events, options)
	return f
}

var scanned = verdicts{"sha256:clean": nil, "sha256:critical": {verdict.Critical, verdict.Low}, "sha256:high": {verdict.High}}

func config(image string) *cri.ContainerConfig {
	return &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: "app"},
		Image:    &cri.ImageSpec{Image: image, UserSpecifiedImage: "registry.example.com/" + image},
	}
}

// container1 is the ID of the container that create makes.
const container1 = "c"

// create creates a container; the error is the gate's.
func (f *fixture) create(t *testing.T, c *cri.ContainerConfig) error {
	t.Helper()
	created, err := f.CreateContainer(t.Context(), &cri.CreateContainerRequest{PodSandboxId: "box", Config: c})
	if err == nil && created != nil {
		created(container1)
	}
	return err
}

func (f *fixture) start(t *testing.T, id string) error {
	t.Helper()
	if f.StartContainerNow(&cri.StartContainerRequest{ContainerId: id}) {
		return nil
	}
	return f.StartContainer(t.Context(), &cri.StartContainerRequest{ContainerId: id})
}

func TestARefusalTellsThePodsOwnerWhatToFixAndIsTheSameEveryTime(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	for range 2 {
		err := f.create(t, config("sha256:critical"))
		require.Equal(t, codes.PermissionDenied, status.Code(err))
		require.Equal(t, `Portcullis blocked this container (image registry.example.com/sha256:critical): policy "no criticals": CVE-2021-44228 Critical in log4j-core 2.14.1 (fixed in 2.15.0). Use an image without these findings, or ask your security team for an exemption.`, status.Convert(err).Message())
	}
	require.Equal(t, []recorded{{"CreateContainer", "shop/cart", policy.Block}, {"CreateContainer", "shop/cart", policy.Block}}, f.events.list)
}

func TestAnAlertOnCreationIsNotRaisedAgainByTheStart(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	require.NoError(t, f.create(t, config("sha256:high")))
	require.NoError(t, f.start(t, container1))
	require.Equal(t, []recorded{{"CreateContainer", "shop/cart", policy.Alert}}, f.events.list)
	require.Len(t, f.reasons, 2, "both were decided")
}

func TestPoliciesThatTightenedAfterCreationStopTheStart(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	f.bundle.current = nil
	require.NoError(t, f.create(t, config("sha256:critical")))
	f.bundle.set(t, policies)
	require.Equal(t, codes.PermissionDenied, status.Code(f.start(t, container1)))
	require.Equal(t, []policy.Reason{policy.ReasonNoBundle, policy.ReasonPolicy}, f.reasons)
}

func TestAfterARestartTheRuntimeGivesTheFacts(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	f.runtime.containers[container1] = container(t, "box", "sha256:critical", config("sha256:critical"))
	err := f.start(t, container1)
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.Contains(t, err.Error(), "blocked this container (image registry.example.com/sha256:critical)")
	require.Equal(t, []recorded{{"StartContainer", "shop/cart", policy.Block}}, f.events.list)
}

// The name said clean when the container was created, and was moved before the runtime resolved it.
func TestANameThatMovesBetweenCreateAndStartDoesNotHideTheImage(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	require.NoError(t, f.create(t, config("clean")))
	f.runtime.containers[container1] = container(t, "box", "sha256:critical", config("clean"))
	require.Equal(t, codes.PermissionDenied, status.Code(f.start(t, container1)))
}

func TestAnImageMountedAsAVolumeIsJudgedToo(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	c := config("sha256:clean")
	c.Mounts = []*cri.Mount{{ContainerPath: "/data", Image: &cri.ImageSpec{Image: "sha256:critical"}}}
	err := f.create(t, c)
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.ErrorContains(t, err, "blocked this container (image sha256:critical)")
}

const noSockets = `
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no sockets}
spec:
  template: PrivilegedStart
  enabled: true
  effect: {mode: Immediate}
  privileges: {parameters: [runtime-socket]}
  scope: {images: {all: true}}
`

// The link pointed at something harmless when we looked, and at the socket when the runtime did.
func TestALinkThatChangesBetweenOurLookAndTheRuntimesHidesNothing(t *testing.T) {
	const link, socket = "/srv/link", "/run/containerd/containerd.sock"
	for name, told := range map[string]map[string]any{
		"containerd tells the configuration": {"sandboxID": "box", "config": nil},
		"CRI-O does not":                     {"sandboxID": "box"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, scanned, gate.Options{})
			f.bundle.set(t, noSockets)
			c := config("sha256:clean")
			c.Mounts = []*cri.Mount{{ContainerPath: "/data/", HostPath: link}}
			require.NoError(t, f.create(t, c))

			if _, tells := told["config"]; tells {
				told["config"] = c
			}
			answer := func(source string) *cri.ContainerStatusResponse {
				told["runtimeSpec"] = map[string]any{"mounts": []map[string]any{{"destination": "/data", "source": source}}}
				info, err := json.Marshal(told)
				require.NoError(t, err)
				return &cri.ContainerStatusResponse{Status: &cri.ContainerStatus{ImageRef: "sha256:clean"}, Info: map[string]string{"info": string(info)}}
			}
			f.runtime.containers[container1] = answer(socket)
			for range 2 {
				require.Equal(t, codes.PermissionDenied, status.Code(f.start(t, container1)))
			}
			f.runtime.containers[container1] = answer("/srv/harmless")
			require.NoError(t, f.start(t, container1))
		})
	}
}

func TestASandboxWhoseConfigurationIsNotToldIsJudgedByItsStatus(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	f.bundle.set(t, strings.Replace(noSockets, "runtime-socket", "host-network", 1))
	f.runtime.sandboxes["box"] = nil
	f.runtime.status = &cri.PodSandboxStatus{Id: "box", Linux: &cri.LinuxPodSandboxStatus{
		Namespaces: &cri.Namespace{Options: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE}},
	}}
	require.Equal(t, codes.PermissionDenied, status.Code(f.create(t, config("sha256:clean"))))
}

func TestWhatTheRuntimeDoesNotKnowIsLeftToItToRefuse(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	require.NoError(t, f.create(t, config("nowhere")))
	_, err := f.CreateContainer(t.Context(), &cri.CreateContainerRequest{PodSandboxId: "no-box", Config: config("sha256:critical")})
	require.NoError(t, err)
	require.NoError(t, f.start(t, "no-container"))
	require.Empty(t, f.reasons)
	// Had the runtime created it all the same, its start is judged.
	f.runtime.containers[container1] = container(t, "box", "sha256:critical", config("nowhere"))
	require.Equal(t, codes.PermissionDenied, status.Code(f.start(t, container1)))
}

func TestAContainerWhoseImageOrSandboxIsGoneIsNotStartedUnjudged(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	f.runtime.containers[container1] = container(t, "box", "sha256:removed", config("sha256:removed"))
	err := f.start(t, container1)
	require.Equal(t, codes.FailedPrecondition, status.Code(err))
	require.ErrorContains(t, err, "the image of container c is gone, so it cannot be judged; recreate the container")

	f.runtime.containers[container1] = container(t, "no-box", "sha256:clean", config("sha256:clean"))
	require.ErrorContains(t, f.start(t, container1), "the sandbox of container c is gone")
}

func TestCRIOWritesImageIDsWithoutTheirAlgorithm(t *testing.T) {
	bare := strings.Repeat("a", 64)
	f := newFixture(t, verdicts{"sha256:" + bare: {verdict.Critical}}, gate.Options{})
	f.runtime.images[bare] = &cri.Image{Id: bare}
	require.Equal(t, codes.PermissionDenied, status.Code(f.create(t, config(bare))))
}

func TestWhatTheClientSaysOfItsSandboxIsNotBelieved(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	request := &cri.CreateContainerRequest{
		PodSandboxId: "box", Config: config("sha256:critical"),
		SandboxConfig: &cri.PodSandboxConfig{Metadata: &cri.PodSandboxMetadata{Name: "other", Namespace: "kube-system"}},
	}
	_, err := f.CreateContainer(t.Context(), request)
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.Equal(t, "shop/cart", f.events.list[0].pod)
}

func TestRequestsThatNameNoImageOrAPathAreRefused(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	err := f.create(t, config(""))
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.ErrorContains(t, err, "names no image; set config.image.image")
	require.Equal(t, codes.InvalidArgument, status.Code(f.create(t, nil)))
	require.Equal(t, codes.PermissionDenied, status.Code(f.create(t, config("/tmp/checkpoint.tar"))))
}

func TestTheRuntimesOwnErrorsPass(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	f.runtime.down = status.Error(codes.Unavailable, "runtime is away")
	err := f.create(t, config("sha256:clean"))
	require.Equal(t, status.Error(codes.Unavailable, "runtime is away"), err)
}

func TestARuntimeThatHidesTheFactsGetsNothingStarted(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	f.runtime.containers[container1] = &cri.ContainerStatusResponse{Status: &cri.ContainerStatus{ImageRef: "sha256:clean"}}
	err := f.start(t, container1)
	require.Equal(t, codes.FailedPrecondition, status.Code(err))
	require.ErrorContains(t, err, "recreate the container")
}

func TestEachCauseOfNotKnowingHasItsOwnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		known    verdicts
		image    string
		noBundle bool
		options  gate.Options
		code     codes.Code
		reason   policy.Reason
		events   int
	}{
		"unscanned is allowed":         {known: scanned, image: "sha256:unscanned", reason: policy.ReasonUnscanned},
		"a failed source alerts":       {known: nil, image: "sha256:clean", reason: policy.ReasonSourceFailed, events: 1},
		"no bundle is allowed":         {known: scanned, image: "sha256:critical", noBundle: true, reason: policy.ReasonNoBundle},
		"no bundle blocks when so set": {known: scanned, image: "sha256:clean", noBundle: true, options: gate.Options{NoBundle: policy.Block}, code: codes.PermissionDenied, reason: policy.ReasonNoBundle, events: 1},
		"a clean image is clean":       {known: scanned, image: "sha256:clean", reason: policy.ReasonClean},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, c.known, c.options)
			if c.noBundle {
				f.bundle.current = nil
			}
			require.Equal(t, c.code, status.Code(f.create(t, config(c.image))))
			require.Equal(t, []policy.Reason{c.reason}, f.reasons)
			require.Len(t, f.events.list, c.events)
		})
	}
}

func TestAClientThatGoesAwayGetsNoDecision(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.CreateContainer(ctx, &cri.CreateContainerRequest{PodSandboxId: "box", Config: config("sha256:clean")})
	require.Equal(t, codes.Canceled, status.Code(err))
	require.Empty(t, f.reasons)
}

func TestSandboxesAreRememberedAsTheyWereRun(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	ran, err := f.RunPodSandbox(t.Context(), &cri.RunPodSandboxRequest{Config: &cri.PodSandboxConfig{Metadata: &cri.PodSandboxMetadata{Name: "new", Namespace: "web"}}})
	require.NoError(t, err)
	ran("new-box")
	_, err = f.CreateContainer(t.Context(), &cri.CreateContainerRequest{PodSandboxId: "new-box", Config: config("sha256:critical")})
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.Equal(t, "web/new", f.events.list[0].pod)
}

func TestAnEventTellsThePodsAddressAndWhatItsOwnerWasTold(t *testing.T) {
	f := newFixture(t, scanned, gate.Options{})
	err := f.create(t, config("sha256:critical"))
	require.NoError(t, f.create(t, config("sha256:high")))
	require.Equal(t, []string{status.Convert(err).Message(), ""}, f.events.told)
	require.Equal(t, []string{"10.0.0.7", "10.0.0.7"}, f.events.addresses)
}

func TestEveryStartThatIsLetPassIsTold(t *testing.T) {
	var started []string
	f := newFixture(t, scanned, gate.Options{Started: func(_ time.Time, c *policy.Container) { started = append(started, c.Image.ID) }})
	require.NoError(t, f.create(t, config("sha256:clean")))
	require.NoError(t, f.start(t, container1))
	require.NoError(t, f.create(t, config("sha256:high")))
	require.NoError(t, f.start(t, container1))
	require.Error(t, f.create(t, config("sha256:critical")))
	require.Equal(t, []string{"sha256:clean", "sha256:high"}, started)
}

// What can be answered at once, and what has to go the long way, with the same decision for both.
func TestAStartAnsweredAtOnceIsTheStartThatWouldHaveBeenAnsweredLater(t *testing.T) {
	byID, byName := config("sha256:clean"), config("clean")
	withVolume := config("sha256:clean")
	withVolume.Mounts = []*cri.Mount{{ContainerPath: "/data", Image: &cri.ImageSpec{Image: "sha256:clean"}}}
	for name, c := range map[string]struct {
		config *cri.ContainerConfig
		change func(*testing.T, *fixture)
		now    bool
		code   codes.Code
	}{
		"a clean image":                    {config: byID, now: true},
		"an unscanned image":               {config: config("sha256:unscanned"), now: true},
		"no bundle":                        {config: byID, change: func(_ *testing.T, f *fixture) { f.bundle.current = nil }, now: true},
		"an alert":                         {config: config("sha256:high")},
		"a block":                          {config: config("sha256:critical"), change: func(t *testing.T, f *fixture) { f.bundle.set(t, policies) }, code: codes.PermissionDenied},
		"policies that nobody asked yet":   {config: byID, change: func(t *testing.T, f *fixture) { f.bundle.set(t, policies) }},
		"a verdict that is not in memory":  {config: byID, change: func(_ *testing.T, f *fixture) { clear(f.known.known) }},
		"a source that fails":              {config: byID, change: func(_ *testing.T, f *fixture) { f.known.known["sha256:clean"] = answer{nil, errSource} }},
		"an image by a name that may move": {config: byName},
		"an image mounted as a volume":     {config: withVolume},
		"a container nobody has created":   {config: nil},
		"a log that tells everything":      {config: byID, change: func(_ *testing.T, f *fixture) { f.log.SetLevel(logrus.DebugLevel) }},
	} {
		t.Run(name, func(t *testing.T) {
			prepare := func(started *[]string) *fixture {
				f := newFixture(t, scanned, gate.Options{Started: func(_ time.Time, c *policy.Container) { *started = append(*started, c.Name) }})
				if c.code != codes.OK {
					f.bundle.current = nil // or it could not be created
				}
				if c.config != nil {
					require.NoError(t, f.create(t, c.config))
				}
				f.runtime.containers[container1] = container(t, "box", "sha256:clean", byID)
				if c.change != nil {
					c.change(t, f)
				}
				return f
			}
			request := &cri.StartContainerRequest{ContainerId: container1}
			var startedNow, startedLater []string
			at, later := prepare(&startedNow), prepare(&startedLater)
			reasons, asked := len(at.reasons), at.known.asked
			require.Equal(t, c.now, at.StartContainerNow(request))
			if !c.now {
				require.Len(t, at.reasons, reasons, "what was not answered was not decided either")
				require.Empty(t, startedNow)
				require.Equal(t, c.code, status.Code(at.StartContainer(t.Context(), request)))
			} else {
				require.Equal(t, asked, at.known.asked, "nobody was asked")
			}
			require.Equal(t, c.code, status.Code(later.StartContainer(t.Context(), request)))
			require.Equal(t, later.reasons, at.reasons)
			require.Equal(t, later.events.list, at.events.list)
			require.Equal(t, startedLater, startedNow)
			require.False(t, at.StartContainerNow(request), "a container starts once")
		})
	}
}
