package policies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

// The limits of a preview.
const (
	previewTime   = 20 * time.Second
	previewImages = 10_000
	previewStarts = 100_000
	previewListed = 500
	previewNodes  = 50
)

// errEnough ends a preview that has looked at as much as it may.
var errEnough = errors.New("enough was looked at")

// preview gathers what a draft would do.
type preview struct {
	now    time.Time
	kinds  []verdict.Kind // that the draft looks for
	images *policy.Bundle // the draft for images on nodes, which are in no namespace
	scope  *policy.Bundle // blocks what the draft is about when nothing is known of it
	starts *policy.Bundle

	response   portcullisv1.PreviewPolicyResponse // but for the lists and nodes
	nodes      map[string]struct{}                // that have an image that would be blocked
	imagesSeen int
	topImages  top[*portcullisv1.PreviewedImage]
	startsSeen int
	topStarts  top[*portcullisv1.PreviewedStart]

	// The image of the last start, what is known of it, and what of it would not have passed in silence.
	last    policy.Image
	verdict *verdict.Verdict
	matched map[startKey]*portcullisv1.PreviewedStart
}

// startKey is the same for starts that are listed as one: of any pod of a workload, on any day.
type startKey struct {
	cluster, namespace, container, requested, because string
	action                                            portcullisv1.Action
}

func newPreview(draft *policy.ImagePolicy, exemptions []policy.Exemption, now time.Time) (*preview, error) {
	p := &preview{
		now: now, nodes: map[string]struct{}{},
		topImages: top[*portcullisv1.PreviewedImage]{rank: func(i *portcullisv1.PreviewedImage) ranked {
			return ranked{i.GetAction(), i.GetNodesTotal(), i.GetImageId()}
		}},
		topStarts: top[*portcullisv1.PreviewedStart]{rank: func(s *portcullisv1.PreviewedStart) ranked {
			return ranked{s.GetAction(), s.GetCount(), s.GetNamespace() + "/" + s.GetPod() + "/" + s.GetContainer() + "/" + s.GetImageId()}
		}},
	}
	if draft.Spec.Effect.Mode == policy.Observe {
		p.response.ObservationDays = int32(draft.Spec.Effect.Days) //nolint:gosec // G115: at most 365
	}
	enabled := *draft
	enabled.Spec.Enabled, enabled.Spec.Effect = true, policy.Effect{Mode: policy.Immediate}
	var err error
	if p.starts, err = compile(enabled, exemptions); err != nil || enabled.Spec.Risk == nil {
		return p, err
	}
	for kind, asked := range map[verdict.Kind]bool{
		verdict.KindVulnerabilities: enabled.Spec.Risk.Vulnerabilities != nil,
		verdict.KindMalware:         enabled.Spec.Risk.Malware != nil,
		verdict.KindSecrets:         enabled.Spec.Risk.Secrets != nil,
	} {
		if asked {
			p.kinds = append(p.kinds, kind)
		}
	}
	enabled.Spec.Scope.Namespaces = nil
	if p.images, err = compile(enabled, exemptions); err != nil {
		return nil, err
	}
	enabled.Spec.Unscanned = policy.AnswerBlock
	p.scope, err = compile(enabled, nil)
	return p, err
}

func compile(draft policy.ImagePolicy, exemptions []policy.Exemption) (*policy.Bundle, error) {
	bundle, err := policy.Compile(&policy.Documents{Policies: []policy.ImagePolicy{draft}, Exemptions: exemptions}, policy.Options{})
	if err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	return bundle, nil
}

func (p *preview) run(ctx context.Context, options *Options) error {
	limited, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	if p.images != nil { // a draft about privileges has nothing against an image as such
		err := options.Images.EachPresentImage(limited, func(i *PresentImage) error { return p.image(limited, i) })
		if err := p.ended(ctx, limited, err); err != nil {
			return err
		}
	}
	since := p.now.Add(-hitDays)
	for _, starts := range options.Starts {
		err := starts.EachStart(limited, since, func(start *Start) error { return p.start(limited, options.Images, start) })
		p.flush()
		if err := p.ended(ctx, limited, err); err != nil {
			return err
		}
	}
	return nil
}

// ended says whether the preview has failed; to have seen enough is no failure.
func (p *preview) ended(ctx, limited context.Context, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, errEnough) || limited.Err() != nil && ctx.Err() == nil {
		p.response.Incomplete = true
		return nil
	}
	return err
}

// image judges an image on every cluster that has it.
func (p *preview) image(ctx context.Context, image *PresentImage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.imagesSeen++; p.imagesSeen > previewImages {
		return errEnough
	}
	clusters := map[string][]string{}
	for _, node := range image.Nodes {
		clusters[node.Cluster] = append(clusters[node.Cluster], node.Name)
	}
	matched, because := map[policy.Action][]string{}, map[policy.Action]string{}
	unscanned := false
	for cluster, nodes := range clusters {
		c := &policy.Container{Cluster: cluster, Image: image.Image}
		unscanned = unscanned || !p.covered(image.Verdict) && p.scope.Decide(c, policy.Knowledge{}, p.now).Action == policy.Block
		d := p.images.Decide(c, policy.Knowledge{Verdict: image.Verdict}, p.now)
		matched[d.Action], because[d.Action] = append(matched[d.Action], nodes...), d.Because()
	}
	if unscanned {
		p.response.UnscannedTotal++
	}
	for _, action := range []policy.Action{policy.Block, policy.Alert} {
		if len(matched[action]) > 0 {
			p.addImage(image, action, matched[action], because[action])
			break
		}
	}
	return nil
}

// covered says whether everything that the draft looks for was looked for.
func (p *preview) covered(v *verdict.Verdict) bool {
	return v != nil && !slices.ContainsFunc(p.kinds, func(kind verdict.Kind) bool { return !v.Covers(kind) })
}

func (p *preview) addImage(image *PresentImage, action policy.Action, nodes []string, because string) {
	slices.Sort(nodes)
	if action == policy.Block {
		p.response.ImagesTotal++
		for _, node := range nodes {
			p.nodes[node] = struct{}{}
		}
	} else {
		p.response.AlertedImagesTotal++
	}
	p.topImages.add(&portcullisv1.PreviewedImage{
		ImageId: image.Image.ID, Names: slices.Concat(image.Image.Tags, image.Image.Digests), Because: because, Action: actions[action],
		Nodes: slices.Clone(nodes[:min(len(nodes), previewNodes)]), NodesTotal: int64(len(nodes)),
	})
}

// actions are those that a preview tells of.
var actions = map[policy.Action]portcullisv1.Action{
	policy.Alert: portcullisv1.Action_ACTION_ALERT, policy.Block: portcullisv1.Action_ACTION_BLOCK,
}

func (p *preview) start(ctx context.Context, images Images, start *Start) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.startsSeen++; p.startsSeen > previewStarts {
		return errEnough
	}
	c := start.Container
	if err := p.know(ctx, images, c.Image.ID); err != nil {
		return err
	}
	c.Image.Tags, c.Image.Digests = p.last.Tags, p.last.Digests
	if len(c.Image.Tags)+len(c.Image.Digests) == 0 && c.Image.Requested != "" {
		c.Image.Tags = []string{c.Image.Requested} // no node has the image any more; this is the best guess
	}
	if d := p.starts.Decide(&c, policy.Knowledge{Verdict: p.verdict}, p.now); d.Action != policy.Allow {
		p.addStart(start, actions[d.Action], d.Because())
	}
	return nil
}

// know brings what is known of the image of the next start.
func (p *preview) know(ctx context.Context, images Images, id string) error {
	if p.matched != nil && p.last.ID == id {
		return nil
	}
	p.flush()
	known, v, err := images.KnownImage(ctx, id)
	if err != nil {
		return err
	}
	p.last, p.verdict, p.matched = known, v, map[startKey]*portcullisv1.PreviewedStart{}
	p.last.ID = id
	return nil
}

func (p *preview) addStart(start *Start, action portcullisv1.Action, because string) {
	if action == portcullisv1.Action_ACTION_BLOCK {
		p.response.StartsTotal += start.Count
	} else {
		p.response.AlertedStartsTotal += start.Count
	}
	c := &start.Container
	k := startKey{c.Cluster, c.Namespace, c.Name, c.Image.Requested, because, action}
	listed := p.matched[k]
	if listed == nil {
		listed = &portcullisv1.PreviewedStart{Namespace: c.Namespace, Container: c.Name, Image: c.Image.Requested, ImageId: c.Image.ID, Because: because, Action: action}
		p.matched[k] = listed
	}
	listed.Count += start.Count
	if last := toTime(start.Last); listed.LastTime == nil || start.Last.After(listed.GetLastTime().AsTime()) {
		listed.LastTime, listed.Pod, listed.Node = last, c.Pod, start.Node
	}
}

// flush lists what would not have passed of the last image.
func (p *preview) flush() {
	for _, listed := range p.matched {
		p.topStarts.add(listed)
	}
	p.matched = nil
}

// result is what was gathered.
func (p *preview) result() *portcullisv1.PreviewPolicyResponse {
	p.response.Images, p.response.Starts, p.response.NodesTotal = p.topImages.list(), p.topStarts.list(), int64(len(p.nodes))
	return &p.response
}
