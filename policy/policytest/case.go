// Package policytest answers: do these policies decide as their author meant?
//
// A case is one YAML file that says what is known and what is asked, in the words of the runtime, and
// what should come of it. The project's own cases are in policy/testdata/cases; operators keep theirs
// beside their policies and run them with `portcullis policy test DIR`.
package policytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/internal/strictyaml"
	"portcullis/policy"
	"portcullis/policy/privilege"
	"portcullis/scanner-client/verdict"
)

// Case is one question and the answer that it should get.
type Case struct {
	Note     string   `yaml:"note"`
	Policies string   `yaml:"policies"` // documents, as in a policy file
	Defaults Defaults `yaml:"defaults"`
	// Since is when the observation of every policy started; zero: it has not.
	Since     time.Time `yaml:"since"`
	Verdict   any       `yaml:"verdict"` // as in a verdict file; imageID and scanned may be left out; nil: unscanned
	Failed    bool      `yaml:"failed"`  // a verdict source failed
	Container Container `yaml:"container"`
	At        time.Time `yaml:"at"`
	Want      Want      `yaml:"want"`

	file string
}

// Defaults is the node's answers for what is unknown.
type Defaults struct {
	Unscanned    policy.Answer `yaml:"unscanned"`
	SourceFailed policy.Answer `yaml:"sourceFailed"`
}

// Container is what the kubelet asks the runtime to create, and where.
type Container struct {
	Cluster string `yaml:"cluster"`
	Image   Image  `yaml:"image"`
	Host    Host   `yaml:"host"`
	Sandbox any    `yaml:"sandbox"` // PodSandboxConfig, in the JSON names of the CRI
	Config  any    `yaml:"config"`  // ContainerConfig, likewise
}

// Image is an image as the runtime knows it.
type Image struct {
	ID      string   `yaml:"id"`
	Tags    []string `yaml:"tags"`
	Digests []string `yaml:"digests"`
}

// Host is what there is on the node.
type Host struct {
	KubeletRoot string            `yaml:"kubeletRoot"`
	PodLogs     string            `yaml:"podLogs"`
	Sockets     []string          `yaml:"sockets"`
	Symlinks    map[string]string `yaml:"symlinks"`  // link → target
	MountInfo   string            `yaml:"mountinfo"` // lines of /proc/self/mountinfo
}

// Want is the expected decision. Policies and Exempted are always compared, what is not listed must
// not be there; Reason and Evidence only where they are given.
type Want struct {
	Action   policy.Answer       `yaml:"action"`
	Reason   policy.Reason       `yaml:"reason"`
	Policies []string            `yaml:"policies"` // strictest first, then by name
	Evidence map[string][]string `yaml:"evidence"` // by policy, worst first, in the words of Label
	Exempted map[string][]string `yaml:"exempted"` // by exemption, likewise
	// EnforceAt is when the strictest match begins to block.
	EnforceAt time.Time `yaml:"enforceAt"`
}

// Read reads one case. The error is a strictyaml.Problems.
func Read(file string, data []byte) (*Case, error) {
	docs, problems := strictyaml.Split(file, data)
	if len(docs) != 1 {
		if len(problems) == 0 {
			problems = strictyaml.Problems{{File: file, Message: "holds several documents; write one case per file, its policies below policies: |"}}
		}
		return nil, problems
	}
	c := &Case{file: file}
	problems = append(problems, docs[0].Decode(c)...)
	require := func(field string, missing bool, what string) {
		if missing && problems.Err() == nil {
			problems = append(problems, docs[0].Problem(field, "required; write %s", what))
		}
	}
	require("note", c.Note == "", "what the case shows")
	require("at", c.At.IsZero(), "the time of the decision, such as 2027-03-01T00:00:00Z")
	require("want.action", !slices.Contains([]policy.Answer{policy.AnswerAllow, policy.AnswerAlert, policy.AnswerBlock}, c.Want.Action), "Allow, Alert or Block")
	return c, problems.Err()
}

// Decide compiles the policies and answers the question.
func (c *Case) Decide() (*policy.Decision, error) {
	docs, err := policy.Parse(policy.Source{Name: c.file + "(policies)", Data: []byte(c.Policies)})
	if err != nil {
		return nil, err
	}
	bundle, err := policy.Compile(docs, policy.Options{
		Since:    func(*policy.ImagePolicy) time.Time { return c.Since },
		Defaults: policy.Unknowns{Unscanned: c.Defaults.Unscanned, SourceFailed: c.Defaults.SourceFailed},
	})
	if err != nil {
		return nil, err
	}
	container, err := c.Container.Facts()
	if err != nil {
		return nil, err
	}
	v, err := ReadVerdict(c.Verdict, container.Image.ID)
	if err != nil {
		return nil, err
	}
	return bundle.Decide(container, policy.Knowledge{Verdict: v, Failed: c.Failed}, c.At), nil
}

// Facts returns what the gate would know of the container.
func (c *Container) Facts() (*policy.Container, error) {
	var sandbox cri.PodSandboxConfig
	if err := message(c.Sandbox, &sandbox); err != nil {
		return nil, fmt.Errorf("container.sandbox: %w", err)
	}
	var config cri.ContainerConfig
	if err := message(c.Config, &config); err != nil {
		return nil, fmt.Errorf("container.config: %w", err)
	}
	pod := sandbox.GetMetadata()
	return &policy.Container{
		Cluster:   c.Cluster,
		Namespace: pod.GetNamespace(),
		Pod:       pod.GetName(),
		PodUID:    pod.GetUid(),
		Name:      config.GetMetadata().GetName(),
		Image:     policy.Image{ID: c.Image.ID, Tags: c.Image.Tags, Digests: c.Image.Digests},
		Asks:      privilege.Asks(&sandbox, &config, c.Host.build()),
	}, nil
}

// message turns what YAML says into a CRI message.
func message(from any, into proto.Message) error {
	if from == nil {
		return nil
	}
	if fields, ok := from.(map[string]any); ok {
		// Nobody judges the environment, and people write its values as text where the CRI has bytes.
		delete(fields, "envs")
	}
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(text, into)
}

// ReadVerdict turns what YAML says into a verdict; nil stays nil. What is left out says that the image
// is imageID and that everything was scanned.
func ReadVerdict(from any, imageID string) (*verdict.Verdict, error) {
	if from == nil {
		return nil, nil
	}
	text, err := json.Marshal(from)
	if err != nil {
		return nil, fmt.Errorf("verdict: %w", err)
	}
	v := &verdict.Verdict{ImageID: imageID, Scanned: verdict.Kinds()}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return nil, fmt.Errorf("verdict: %w", err)
	}
	return v, nil
}

func (h *Host) build() privilege.Host {
	return privilege.Host{
		KubeletRoot:     h.KubeletRoot,
		PodLogs:         h.PodLogs,
		Sockets:         h.Sockets,
		ResolveSymlinks: h.resolve,
		Mounts:          func() ([]byte, error) { return []byte(h.MountInfo), nil },
	}
}

// resolve follows the links of a node on which every path exists, part by part as the kernel does.
func (h *Host) resolve(name string) (string, error) {
	return h.walk("/", name, 0)
}

func (h *Host) walk(from, name string, links int) (string, error) {
	if links > 40 {
		return "", errors.New("too many links")
	}
	for part := range strings.SplitSeq(name, "/") {
		next := path.Join(from, part)
		target, ok := h.Symlinks[next]
		switch {
		case !ok:
			from = next
			continue
		case path.IsAbs(target):
			from = "/"
		}
		var err error
		if from, err = h.walk(from, target, links+1); err != nil {
			return "", err
		}
	}
	return from, nil
}
