package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/output"
)

func (p program) apply() *cobra.Command {
	var files []string
	request := &portcullisv1.ApplyDocumentsRequest{}
	command := &cobra.Command{
		Use:   "apply -f FILE|FOLDER|-...",
		Short: "Make policies and exemptions what documents say: all of them or, on any mistake, none",
		Long: `Sends all documents of all files together: either all of them come into force, or none. What is in force
already stays as it is, so that the same command may run again and again.

--prune deletes every policy and exemption that the documents do not name, whoever made it; look at what it would
do with --dry-run first.`,
		Args: cobra.NoArgs,
	}
	fileFlag(command, &files)
	command.Flags().BoolVar(&request.Prune, "prune", false, "delete policies and exemptions that the documents do not name")
	command.Flags().BoolVar(&request.DryRun, "dry-run", false, "only say what would be done")
	return p.formatted(command, []string{"table", "name", "json", "yaml"}, func(c *call, _ []string) error {
		documents, err := readDocuments(files, command.InOrStdin())
		if err != nil {
			return err
		}
		request.Documents = documents.text.String()
		response, err := c.Policies.ApplyDocuments(c.ctx, request)
		if err != nil {
			return documents.say(c, err)
		}
		if c.Format == "json" || c.Format == "yaml" {
			return c.Message(response)
		}
		for _, a := range response.GetApplied() {
			line := strings.ToLower(a.GetKind()) + "/" + a.GetName()
			if c.Format == "table" {
				line += " " + changes[a.GetChange()]
			}
			if request.GetDryRun() && c.Format == "table" {
				line += " (dry run)"
			}
			fmt.Fprintln(c.Out, output.Line(line))
		}
		return nil
	})
}

// changes are in kubectl's words.
var changes = map[portcullisv1.AppliedDocument_Change]string{
	portcullisv1.AppliedDocument_CHANGE_CREATED:   "created",
	portcullisv1.AppliedDocument_CHANGE_UPDATED:   "configured",
	portcullisv1.AppliedDocument_CHANGE_UNCHANGED: "unchanged",
	portcullisv1.AppliedDocument_CHANGE_DELETED:   "pruned",
}

func fileFlag(command *cobra.Command, files *[]string) {
	command.Flags().StringArrayVarP(files, "filename", "f", nil, "`FILE` or folder of YAML documents, - for the input; may be repeated")
	_ = command.MarkFlagRequired("filename") // fails for unknown flags only
}

func (p program) export() *cobra.Command {
	return p.central(&cobra.Command{
		Use:   "export",
		Short: "Print all policies and exemptions as YAML that apply takes",
		Args:  cobra.NoArgs,
	}, func(c *call, _ []string) error {
		response, err := c.Policies.ExportDocuments(c.ctx, &portcullisv1.ExportDocumentsRequest{})
		if err == nil {
			_, err = fmt.Fprint(c.Out, output.Document(response.GetDocuments()))
		}
		return err
	})
}
