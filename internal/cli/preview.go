package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/output"
)

func (p program) preview() *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "preview -f DRAFT",
		Short: "Say what a draft of a policy would have blocked or alerted: images on nodes now, and starts of the last 7 days",
		Args:  cobra.NoArgs,
	}
	command.Flags().StringVarP(&file, "filename", "f", "", "`FILE` with the draft, - for the input (required)")
	_ = command.MarkFlagRequired("filename") // fails for unknown flags only
	return p.result(command, func(c *call, _ []string) error {
		draft, err := readOne(file, command.InOrStdin())
		if err != nil {
			return err
		}
		response, err := c.Policies.PreviewPolicy(c.ctx, &portcullisv1.PreviewPolicyRequest{Document: draft.text.String()})
		if err != nil {
			return draft.say(c, err)
		}
		if c.Format != "table" {
			return c.Message(response)
		}
		return c.showPreview(response)
	})
}

func (c *call) showPreview(r *portcullisv1.PreviewPolicyResponse) error {
	if r.GetIncomplete() {
		fmt.Fprintln(c.Out, "There is more than a preview looks at; these are the least that it would be.")
	}
	if r.GetObservationDays() > 0 {
		fmt.Fprintf(c.Out, "The draft observes first: for %s it only alerts of what it blocks here.\n", counted(int64(r.GetObservationDays()), "day"))
	}
	fmt.Fprintf(c.Out, "Images that could not start: %d, on %s; images that would be alerted: %d\n",
		r.GetImagesTotal(), counted(r.GetNodesTotal(), "node"), r.GetAlertedImagesTotal())
	if len(r.GetImages()) > 0 {
		if err := output.List(&c.Printer, previewedImageKind, r.GetImages(), false); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.Out, "\nStarts of the last 7 days that would have been blocked: %d; alerted: %d\n", r.GetStartsTotal(), r.GetAlertedStartsTotal())
	if len(r.GetStarts()) > 0 {
		if err := output.List(&c.Printer, previewedStartKind, r.GetStarts(), false); err != nil {
			return err
		}
	}
	if r.GetUnscannedTotal() > 0 {
		fmt.Fprintf(c.Out, "\nImages in scope that are not, or not fully, scanned: %d\n", r.GetUnscannedTotal())
	}
	return nil
}

var previewedImageKind = output.Kind[*portcullisv1.PreviewedImage]{
	Columns: []output.Column[*portcullisv1.PreviewedImage]{
		{Title: "ACTION", Cell: func(i *portcullisv1.PreviewedImage, _ time.Time) string { return output.Word(i.GetAction()) }},
		{Title: "IMAGE", Cell: func(i *portcullisv1.PreviewedImage, _ time.Time) string { return firstOr(i.GetNames()) }},
		{Title: "ID", Cell: func(i *portcullisv1.PreviewedImage, _ time.Time) string { return shortID(i.GetImageId()) }},
		{Title: "NODES", Cell: func(i *portcullisv1.PreviewedImage, _ time.Time) string {
			return output.Some(i.GetNodes(), int(i.GetNodesTotal()))
		}},
		{Title: "BECAUSE", Cell: func(i *portcullisv1.PreviewedImage, _ time.Time) string { return i.GetBecause() }},
	},
}

var previewedStartKind = output.Kind[*portcullisv1.PreviewedStart]{
	Columns: []output.Column[*portcullisv1.PreviewedStart]{
		{Title: "ACTION", Cell: func(s *portcullisv1.PreviewedStart, _ time.Time) string { return output.Word(s.GetAction()) }},
		{Title: "COUNT", Cell: func(s *portcullisv1.PreviewedStart, _ time.Time) string { return fmt.Sprint(s.GetCount()) }},
		{Title: "LAST", Cell: func(s *portcullisv1.PreviewedStart, now time.Time) string { return output.Age(s.GetLastTime(), now) }},
		{Title: "POD", Cell: func(s *portcullisv1.PreviewedStart, _ time.Time) string { return s.GetNamespace() + "/" + s.GetPod() }},
		{Title: "CONTAINER", Cell: func(s *portcullisv1.PreviewedStart, _ time.Time) string { return output.Or(s.GetContainer()) }},
		{Title: "NODE", Cell: func(s *portcullisv1.PreviewedStart, _ time.Time) string { return output.Or(s.GetNode()) }},
		{Title: "IMAGE", Cell: func(s *portcullisv1.PreviewedStart, _ time.Time) string { return output.Or(s.GetImage()) }},
		{Title: "BECAUSE", Cell: func(s *portcullisv1.PreviewedStart, _ time.Time) string { return s.GetBecause() }},
	},
}
