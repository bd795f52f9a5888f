package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/output"
)

func (p program) describe() *cobra.Command {
	return parent("describe", "Say everything about one thing",
		p.describeOne("policy", "A policy, its document and who changed it", policyNames, (*call).describePolicy),
		p.describeOne("exemption", "An exemption and its document", exemptionNames, (*call).describeExemption),
		p.describeOne("node", "A node, and what is in force there", nodeNames, (*call).describeNode),
		p.describeOne("image", "An image, what was found in it, and what would happen if it started", imageNames, (*call).describeImage),
		p.describeOne("event", "An event, its evidence and what to do about it", noNames, (*call).describeEvent))
}

func noNames(*call, string) ([]string, error) { return nil, nil }

func (p program) describeOne(kind, short string, names names, describe func(c *call, name string) error) *cobra.Command {
	return p.central(&cobra.Command{
		Use: kind + " NAME", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: p.completeFirst(names),
	}, func(c *call, arguments []string) error { return describe(c, arguments[0]) })
}

// shownRevisions are those of describe policy.
const shownRevisions = 10

func (c *call) describePolicy(name string) error {
	policy, err := c.policy(name)
	if err != nil {
		return err
	}
	history, err := c.Policies.ListPolicyRevisions(c.ctx, &portcullisv1.ListPolicyRevisionsRequest{Name: name, PageSize: shownRevisions})
	if err != nil {
		return err
	}
	s := output.NewSection(c.Out)
	s.Field("Name", "%s", policy.GetName())
	s.Field("Template", "%s", policy.GetTemplate())
	s.Field("State", "%s", output.Word(policy.GetState()))
	if policy.GetState() == portcullisv1.PolicyState_POLICY_STATE_OBSERVING {
		s.Field("Observing since", "%s", output.Time(policy.GetObservingSince(), c.now))
		s.Field("Blocks from", "%s", output.Time(policy.GetEnforceAt(), c.now))
	}
	s.Field("Last 7 days", "%d blocked, %d alerted", policy.GetBlocked(), policy.GetAlerted())
	s.Field("Created", "%s", output.Time(policy.GetCreateTime(), c.now))
	s.Field("Revision", "%d", policy.GetRevision())
	var revisions []string
	for _, r := range history.GetRevisions() {
		line := fmt.Sprintf("%d  %s by %s", r.GetRevision(), output.Time(r.GetTime(), c.now), r.GetAuthor())
		if r.GetDocument() == "" {
			line += ", deleted"
		}
		revisions = append(revisions, line)
	}
	s.Lines("Changes", revisions...)
	s.Lines("Document", lines(policy.GetDocument())...)
	return s.End()
}

func (c *call) describeExemption(name string) error {
	e, err := c.exemption(name)
	if err != nil {
		return err
	}
	s := output.NewSection(c.Out)
	s.Field("Name", "%s", e.GetName())
	s.Field("State", "%s", exemptionState(e))
	s.Field("Expires", "%s", output.Time(e.GetExpireTime(), c.now))
	s.Field("Reason", "%s", e.GetReason())
	s.Field("Author", "%s", e.GetAuthor())
	s.Field("Created", "%s", output.Time(e.GetCreateTime(), c.now))
	s.Field("Changed", "%s by %s", output.Time(e.GetUpdateTime(), c.now), e.GetUpdatedBy())
	s.Field("Revision", "%d", e.GetRevision())
	s.Lines("Document", lines(e.GetDocument())...)
	return s.End()
}

func lines(text string) []string { return strings.Split(strings.TrimRight(text, "\n"), "\n") }

func (c *call) describeNode(name string) error {
	n, err := c.node(name)
	if err != nil {
		return err
	}
	s := output.NewSection(c.Out)
	s.Field("Name", "%s", n.GetName())
	s.Field("ID", "%s", n.GetId())
	s.Field("Cluster", "%s", n.GetCluster())
	s.Field("State", "%s", output.Word(n.GetState()))
	s.Field("Bundle", "%s", bundle(n))
	s.Field("Rejected because", "%s", n.GetRejection())
	s.Field("Last contact", "%s", output.Time(n.GetLastContactTime(), c.now))
	if n.GetClockSkew() != nil {
		s.Field("Clock", "%s from central's", n.GetClockSkew().AsDuration())
	}
	s.Field("Joined", "%s", output.Time(n.GetJoinTime(), c.now))
	s.Field("Certificate ends", "%s", output.Time(n.GetCertificateExpireTime(), c.now))
	s.Field("Addresses", "%s", strings.Join(n.GetAddresses(), ", "))
	s.Field("Images", "%d", n.GetImageCount())
	s.Field("Portcullis", "%s", n.GetVersion())
	s.Field("Runtime", "%s", n.GetRuntimeVersion())
	s.Field("Kernel", "%s", n.GetKernelVersion())
	return s.End()
}

func (c *call) describeEvent(id string) error {
	response, err := c.Events.GetEvent(c.ctx, &portcullisv1.GetEventRequest{Id: id})
	if err != nil {
		return err
	}
	e := response.GetEvent()
	s := output.NewSection(c.Out)
	s.Field("Action", "%s", output.Word(e.GetAction()))
	s.Field("Policy", "%s", e.GetPolicy())
	s.Field("Template", "%s", e.GetTemplate())
	s.Field("Reason", "%s", e.GetReason())
	s.Field("Because", "%s", e.GetBecause())
	s.Field("Severity", "%s", e.GetSeverity())
	s.Field("Count", "%d", e.GetCount())
	if e.GetSummarised() {
		s.Field("Missing", "%s", "details of some decisions: the node merged them while its spool was full")
	}
	s.Field("First", "%s", output.Time(e.GetFirstTime(), c.now))
	s.Field("Last", "%s", output.Time(e.GetLastTime(), c.now))
	if e.GetEnforceAt() != nil {
		s.Field("Blocks from", "%s", output.Time(e.GetEnforceAt(), c.now))
	}
	s.Field("Image", "%s", e.GetImage())
	s.Field("Image ID", "%s", e.GetImageId())
	s.Field("Pod", "%s/%s", e.GetNamespace(), e.GetPod())
	s.Field("Pod address", "%s", e.GetPodAddress())
	s.Field("Container", "%s", e.GetContainer())
	s.Field("Node", "%s", e.GetNode())
	s.Field("Cluster", "%s", e.GetCluster())
	s.Field("Operation", "%s", e.GetOperation())
	var asks []string
	for _, a := range e.GetAsks() {
		asks = append(asks, strings.TrimSpace(a.GetParameter()+" "+a.GetDetail()))
	}
	s.Lines("Asked for", asks...)
	s.Lines("The pod's owner was told", nonEmpty(e.GetMessage())...)
	s.Lines("What to do", nonEmpty(response.GetRemedy())...)
	return s.End()
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return lines(text)
}
