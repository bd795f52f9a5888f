package nodes

import (
	"context"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/rpc"
)

const (
	maxInventory = 5_000 // images of one node
	maxAsked     = 100   // images at a time
	maxNames     = 100   // of one image, tags and digests each
	maxImageName = 512   // bytes
)

// ReportInventory takes in which images the calling node has.
func (s *Sync) ReportInventory(ctx context.Context, request *portcullisv1.ReportInventoryRequest) (*portcullisv1.ReportInventoryResponse, error) {
	problems := checkImages("added", request.GetAdded(), maxInventory)
	if n := len(request.GetRemovedIds()); n > maxInventory {
		problems = append(problems, rpc.Problem("removed_ids", "are %d; at most %d are taken", n, maxInventory))
	}
	if problems != nil {
		return nil, rpc.Invalid(problems...)
	}
	id := access.From(ctx).Name
	s.news.contact(id, s.options.Now())
	return &portcullisv1.ReportInventoryResponse{}, s.images.Present(ctx, id, request)
}

// GetVerdicts tells the calling node what is known of images.
func (s *Sync) GetVerdicts(ctx context.Context, request *portcullisv1.GetVerdictsRequest) (*portcullisv1.GetVerdictsResponse, error) {
	if problems := checkImages("images", request.GetImages(), maxAsked); problems != nil {
		return nil, rpc.Invalid(problems...)
	}
	id := access.From(ctx).Name
	s.news.contact(id, s.options.Now())
	verdicts, err := s.images.Verdicts(ctx, id, request.GetImages())
	return &portcullisv1.GetVerdictsResponse{Verdicts: verdicts}, err
}

// checkImages returns the first mistake: a node that makes one makes many. Names that are odd are left out: they
// are no reason to know nothing of the image.
func checkImages(field string, images []*portcullisv1.PresentImage, most int) []*portcullisv1.FieldProblem {
	one := func(p *portcullisv1.FieldProblem) []*portcullisv1.FieldProblem {
		return []*portcullisv1.FieldProblem{p}
	}
	if len(images) > most {
		return one(rpc.Problem(field, "are %d images; at most %d are taken", len(images), most))
	}
	for i, image := range images {
		if !imageID.MatchString(image.GetId()) {
			return one(rpc.Problem(indexed(field, i)+".id", "is not an image ID; write sha256: and 64 hexadecimal digits"))
		}
		image.Tags, image.Digests = goodNames(image.GetTags()), goodNames(image.GetDigests())
	}
	return nil
}

func goodNames(names []string) []string {
	var good []string
	for _, name := range names {
		if len(good) < maxNames && name != "" && len(name) <= maxImageName && clean(name, maxImageName) == name {
			good = append(good, name)
		}
	}
	return good
}
