package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/failure"
	"portcullis/internal/cli/output"
)

func isID(text string) bool { return uuid.Validate(text) == nil }

func (p program) images() *cobra.Command {
	return parent("images", "List images and what is known of them; delete reports",
		p.imageList("list [NAME|ID...]"), p.deleteReport("delete-report ID..."))
}

func (p program) imageList(use string) *cobra.Command {
	request := &portcullisv1.ListImagesRequest{}
	var limit int
	command := &cobra.Command{Use: use, Aliases: []string{"image"}, Short: "Images, and what was found in them", ValidArgsFunction: p.complete(imageNames)}
	command.Flags().StringVar(&request.Search, "search", "", "part of a name, or an ID")
	enumFlag(command, &request.ScanStates, "scan", "only in these scan states")
	command.Flags().StringArrayVar(&request.Severities, "severity", nil, "only with this worst severity; may be repeated")
	command.Flags().StringVar(&request.Node, "node", "", "only images that this node has")
	command.Flags().BoolVar(&request.Present, "present", false, "only images that some node has")
	limitFlag(command, &limit, 0)
	return p.shown(command, func(c *call, names []string) error {
		if len(names) > 0 {
			return named(c, imageKind, names, c.image)
		}
		items, err := c.imagePages(request, limit)
		if err != nil {
			return err
		}
		return output.List(&c.Printer, imageKind, items, false)
	})
}

func (c *call) imagePages(request *portcullisv1.ListImagesRequest, limit int) ([]*portcullisv1.Image, error) {
	return pages(c, limit, page, func(size int32, token string) ([]*portcullisv1.Image, string, int64, error) {
		request.PageSize, request.PageToken = size, token
		response, err := c.Images.ListImages(c.ctx, request)
		return response.GetImages(), response.GetNextPageToken(), response.GetTotal(), err
	})
}

// image finds one by its ID, the beginning of it, or a name.
func (c *call) image(name string) (*portcullisv1.Image, error) {
	alike, err := c.imagePages(&portcullisv1.ListImagesRequest{Search: name}, 0)
	if err != nil {
		return nil, err
	}
	var found []*portcullisv1.Image
	for _, i := range alike {
		digits := strings.TrimPrefix(i.GetId(), "sha256:")
		if slices.Contains(i.GetTags(), name) || slices.Contains(i.GetDigests(), name) || strings.HasPrefix(digits, strings.TrimPrefix(name, "sha256:")) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 0:
		return nil, failure.Refuse("image %q is not known; get images --search finds parts of names", name)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("%d images are called %q; name one by its ID: %s", len(found), name, output.Some(gather(found, (*portcullisv1.Image).GetId), 0))
}
