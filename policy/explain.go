package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Step is what one policy made of a container.
type Step struct {
	Policy string
	Says   string // in words
}

// Explain says, policy by policy in the order of their names, why Decide decides as it does. It is for
// people and not for the path of a start.
func (b *Bundle) Explain(c *Container, k Knowledge, now time.Time) (*Decision, []Step) {
	d := b.Decide(c, k, now)
	image := nameImage(&c.Image)
	steps := make([]Step, 0, len(b.rules)+len(b.off))
	for i := range b.rules {
		r := &b.rules[i]
		says := r.outside(c, &image)
		if says == "" {
			says = r.explain(d, k)
		}
		steps = append(steps, Step{r.name, says})
	}
	for _, name := range b.off {
		steps = append(steps, Step{name, "is switched off"})
	}
	slices.SortStableFunc(steps, func(x, y Step) int { return strings.Compare(x.Policy, y.Policy) })
	return d, steps
}

// outside says why the rule does not apply to the container, "" when it does.
func (r *rule) outside(c *Container, image *named) string {
	switch {
	case !r.scope.namespaces.covers(c.Namespace):
		return fmt.Sprintf("does not apply to namespace %q", c.Namespace)
	case !r.scope.clusters.covers(c.Cluster):
		return fmt.Sprintf("does not apply to cluster %q", c.Cluster)
	case r.scope.images.covers(image):
		return ""
	case r.scope.images.inverted:
		return "allows this image to start privileged"
	}
	return "does not apply to this image: no pattern selects any of its names, or one excludes it"
}

// explain says what of the decision the rule, which applies, brought about.
func (r *rule) explain(d *Decision, k Knowledge) string {
	var says []string
	for _, m := range d.Matches {
		if m.Policy != r.name {
			continue
		}
		text := m.Action.String() + "s"
		if !m.EnforceAt.IsZero() {
			text += " until " + m.EnforceAt.UTC().Format(time.RFC3339) + ", then blocks"
		}
		says = append(says, text+": "+phrase(m.Evidence, m.Omitted))
	}
	for _, e := range d.Exempted {
		if e.Policy == r.name {
			says = append(says, fmt.Sprintf("exemption %q covers: %s", e.Exemption, phrase(e.Evidence, e.Omitted)))
		}
	}
	if says != nil {
		return strings.Join(says, "; ")
	}
	if blind := r.blind(k); blind != "" {
		return "applies, and allows that nothing is known of the image's " + blind
	}
	return "applies, and found nothing that it looks for"
}

// blind lists the kinds of risk that the rule looks for and that nothing is known of.
func (r *rule) blind(k Knowledge) string {
	var unknown []string
	for kind, criterion := range r.criteria {
		if criterion != nil && (k.Verdict == nil || !k.Verdict.Covers(kindNames[kind])) {
			unknown = append(unknown, string(kindNames[kind]))
		}
	}
	return strings.Join(unknown, ", ")
}
