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
		return "Remove these privileges from the pod, or ask your security team for an exemption."
	}
	return "Use an image without these findings, or ask your security team for an exemption."
}
