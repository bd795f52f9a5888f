package gate

import (
	"fmt"

	"portcullis/policy"
)

// refusal is what the pod's owner reads in the pod's status. The kubelet asks again every few seconds
// and folds what is the same to the letter, so nothing in it may change from one try to the next.
func refusal(c *policy.Container, d *policy.Decision) string {
	return fmt.Sprintf("Portcullis blocked this container (image %s): %s. %s", policy.Printable(c.Image.Requested), d.Because(), remedy(d))
}

// remedy says what to do about a Block.
func remedy(d *policy.Decision) string {
	switch d.Reason {
	case policy.ReasonNoBundle:
		return "Ask whoever runs this node to give it its policies."
	case policy.ReasonUnscanned, policy.ReasonSourceFailed:
		return "Have the image scanned, or ask your security team for an exemption."
	}
	if d.Matches[0].Template == policy.TemplatePrivilegedStart {
		return "Start it without" + instead(d.Matches[0].Evidence) + ", or ask your security team for an exemption."
	}
	return "Use an image without these findings, or ask your security team for an exemption."
}

// instead says what could be done rather than ask for the first privilege, which is the worst.
func instead(asks []policy.Evidence) string {
	if len(asks) > 0 && asks[0].Ask != nil {
		if parameter, ok := policy.LookupParameter(asks[0].Ask.Parameter); ok && parameter.Instead != "" {
			return " " + parameter.Name + " (" + parameter.Instead + ")"
		}
	}
	return " these privileges"
}
