package cli

import (
	"github.com/spf13/cobra"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/output"
)

// defaultAudit is what fits a look.
const defaultAudit = 50

func (p program) audit() *cobra.Command {
	request := &portcullisv1.ListAuditEntriesRequest{}
	var since, until moment
	var limit int
	command := &cobra.Command{
		Use:   "audit",
		Short: "Who changed what, the newest first; -o json and -o yaml have before and after",
		Args:  cobra.NoArgs,
	}
	command.Flags().StringVar(&request.Actor, "actor", "", "who, such as user:admin")
	command.Flags().StringVar(&request.Kind, "kind", "", "of what: policy, exemption, report, node, join-token, user, token, notification or session")
	command.Flags().StringVar(&request.Name, "name", "", "which one")
	command.Flags().Var(&since, "since", "at or after this time: 2027-03-01T00:00:00Z, or 12h or 7d ago")
	command.Flags().Var(&until, "until", "before this time")
	limitFlag(command, &limit, defaultAudit)
	return p.shown(command, func(c *call, _ []string) error {
		request.From, request.To = since.at, until.at
		items, err := pages(c, limit, page, func(size int32, token string) ([]*portcullisv1.AuditEntry, string, int64, error) {
			request.PageSize, request.PageToken = size, token
			response, err := c.Audit.ListAuditEntries(c.ctx, request)
			return response.GetEntries(), response.GetNextPageToken(), 0, err
		})
		if err != nil {
			return err
		}
		return output.List(&c.Printer, auditKind, items, false)
	})
}
