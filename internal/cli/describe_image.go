package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/output"
	"portcullis/scanner-client/verdict"
)

func (c *call) describeImage(name string) error {
	found, err := c.image(name)
	if err != nil {
		return err
	}
	response, err := c.Images.GetImage(c.ctx, &portcullisv1.GetImageRequest{Id: found.GetId()})
	if err != nil {
		return err
	}
	i := response.GetImage()
	s := output.NewSection(c.Out)
	s.Field("ID", "%s", i.GetId())
	s.Field("Names", "%s", strings.Join(append(i.GetTags(), i.GetDigests()...), ", "))
	s.Field("On nodes", "%d: %s", i.GetNodeCount(), output.Some(i.GetNodes(), int(i.GetNodeCount())))
	s.Field("Last seen", "%s", output.Time(i.GetLastSeenTime(), c.now))
	s.Field("Scan", "%s", strings.TrimSpace(output.Word(i.GetScanState())+" "+strings.Join(i.GetScanned(), ", ")))
	if i.GetScanTime() != nil {
		s.Field("Scanned", "%s by %s", output.Time(i.GetScanTime(), c.now), i.GetScanner())
	}
	s.Field("Worst", "%s", i.GetWorstSeverity())
	var steps []string
	for _, step := range response.GetSteps() {
		steps = append(steps, fmt.Sprintf("policy %q %s", step.GetPolicy(), step.GetSays()))
	}
	outcome := output.Word(response.GetAction())
	if outcome == "" {
		outcome = "allow"
	}
	s.Lines("If it started now, unprivileged: "+outcome, steps...)
	findings, err := findings(response)
	if err != nil {
		return err
	}
	s.Lines("Findings", findings...)
	var reports []string
	for _, r := range response.GetReports() {
		reports = append(reports, fmt.Sprintf("%s  %s of %s, uploaded %s by %s", r.GetId(), r.GetFormat(), r.GetScanner(), output.Time(r.GetUploadTime(), c.now), r.GetUploadedBy()))
	}
	s.Lines("Reports", reports...)
	return s.End()
}

// shownFindings is what fits a look.
const shownFindings = 50

// findings are in the verdict's order.
func findings(response *portcullisv1.GetImageResponse) ([]string, error) {
	if response.GetVerdict() == nil {
		return nil, nil
	}
	text, err := response.GetVerdict().MarshalJSON()
	if err != nil {
		return nil, err
	}
	var v verdict.Verdict
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("the image's verdict: %w", err)
	}
	var all []string
	for _, m := range v.Malware {
		all = append(all, fmt.Sprintf("malware %s %s in %s", m.Signature, m.Severity, m.Path))
	}
	for _, secret := range v.Secrets {
		all = append(all, fmt.Sprintf("secret %s %s in %s%s", secret.Rule, secret.Level, secret.Path, secret.History))
	}
	for _, weak := range v.Vulnerabilities {
		fix := "no fix yet"
		if weak.FixedVersion != "" {
			fix = "fixed in " + weak.FixedVersion
		}
		all = append(all, fmt.Sprintf("%s %s in %s %s (%s)", weak.ID, weak.Severity, weak.Package, weak.Version, fix))
	}
	if more := len(all) - shownFindings; more > 0 {
		all = append(all[:shownFindings], fmt.Sprintf("and %d more", more))
	}
	return all, nil
}
