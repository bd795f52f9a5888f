package images

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/scanner-client/verdict"
)

const (
	defaultPage = 50
	maxPage     = 200
	maxSearch   = 200 // characters
	shownNodes  = 100
)

type imageKey struct {
	Worst int64
	ID    string
}

// ListImages lists images, those with the worst findings first.
func (s *Service) ListImages(ctx context.Context, request *portcullisv1.ListImagesRequest) (*portcullisv1.ListImagesResponse, error) {
	size, err := rpc.PageSize(request.GetPageSize(), defaultPage, maxPage)
	if err != nil {
		return nil, err
	}
	var key imageKey
	more, err := rpc.ReadPageToken(request.GetPageToken(), &key)
	if err != nil {
		return nil, err
	}
	var after *store.Image
	if more {
		after = &store.Image{ID: key.ID, ImageSummary: store.ImageSummary{Worst: key.Worst}}
	}
	filter, err := toFilter(request)
	if err != nil {
		return nil, err
	}
	response := &portcullisv1.ListImagesResponse{}
	return response, s.store.Read(ctx, func(tx *store.Tx) error {
		found, err := tx.ListImages(ctx, filter, after, size+1)
		if err != nil {
			return err
		}
		response.NextPageToken = ""
		if len(found) > size {
			found = found[:size]
			if response.NextPageToken, err = rpc.PageToken(imageKey{found[size-1].Worst, found[size-1].ID}); err != nil {
				return err
			}
		}
		if response.Images, err = toImages(ctx, tx, found); err != nil {
			return err
		}
		response.Total, err = tx.CountImages(ctx, filter)
		return err
	})
}

func toFilter(r *portcullisv1.ListImagesRequest) (store.ImageFilter, error) {
	f := store.ImageFilter{Search: r.GetSearch(), Node: r.GetNode(), Present: r.GetPresent()}
	var problems []*portcullisv1.FieldProblem
	for field, text := range map[string]string{"search": f.Search, "node": f.Node} {
		if utf8.RuneCountInString(text) > maxSearch || strings.ContainsRune(text, 0) {
			problems = append(problems, rpc.Problem(field, "is too long or holds a zero byte; write at most %d characters", maxSearch))
		}
	}
	if len(r.GetScanStates()) > len(portcullisv1.ScanState_name) || len(r.GetSeverities()) > len(verdict.SeverityNames()) {
		return f, rpc.Invalid(rpc.Problem("scan_states", "or severities are more than there are"))
	}
	for i, state := range r.GetScanStates() {
		if state < portcullisv1.ScanState_SCAN_STATE_UNSCANNED || state > portcullisv1.ScanState_SCAN_STATE_SCANNED {
			problems = append(problems, rpc.Problem(fmt.Sprintf("scan_states[%d]", i), "is not a state that is known"))
		}
		f.States = append(f.States, int64(state))
	}
	for i, name := range r.GetSeverities() {
		severity, err := verdict.ParseSeverity(name)
		if err != nil {
			problems = append(problems, rpc.Problem(fmt.Sprintf("severities[%d]", i), "is not known; write one of %s", strings.Join(verdict.SeverityNames(), ", ")))
		}
		f.Worst = append(f.Worst, int64(severity))
	}
	if problems != nil {
		return f, rpc.Invalid(problems...)
	}
	return f, nil
}

func toImages(ctx context.Context, tx *store.Tx, found []store.Image) ([]*portcullisv1.Image, error) {
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].ID
	}
	names, err := tx.ImageNames(ctx, ids)
	if err != nil {
		return nil, err
	}
	images := make([]*portcullisv1.Image, len(found))
	for i := range found {
		if images[i], err = toImage(ctx, tx, &found[i], names[found[i].ID]); err != nil {
			return nil, err
		}
	}
	return images, nil
}

func toImage(ctx context.Context, tx *store.Tx, i *store.Image, names []store.ImageName) (*portcullisv1.Image, error) {
	count, nodes, contact, err := tx.WhereImage(ctx, i.ID, shownNodes)
	if err != nil {
		return nil, err
	}
	seen := i.LastSeenTime
	if contact.After(seen) {
		seen = contact
	}
	named := asScanner(i.ID, names)
	image := &portcullisv1.Image{
		Id: i.ID, Tags: named.Tags, Digests: named.Digests, ScanState: portcullisv1.ScanState(i.ScanState), Scanned: i.Scanned, //nolint:gosec // G115: there are three
		ScanTime: toTime(i.ScanTime), Scanner: i.Scanner, Vulnerabilities: i.Vulnerabilities, Malware: i.Malware, Secrets: i.Secrets,
		NodeCount: count, Nodes: nodes, LastSeenTime: toTime(seen),
	}
	if i.Worst != store.NoSeverity {
		image.WorstSeverity = verdict.Severity(i.Worst).String() //nolint:gosec // G115: there are six
	}
	return image, nil
}

// GetImageOverview counts images by what is known of them.
func (s *Service) GetImageOverview(ctx context.Context, _ *portcullisv1.GetImageOverviewRequest) (*portcullisv1.GetImageOverviewResponse, error) {
	r := &portcullisv1.GetImageOverviewResponse{}
	return r, s.store.Read(ctx, func(tx *store.Tx) (err error) {
		r.Total, r.Unscanned, r.Risky, err = tx.CountScanned(ctx, int64(portcullisv1.ScanState_SCAN_STATE_UNSCANNED), int64(verdict.High))
		r.Scanned = r.GetTotal() - r.GetUnscanned()
		return err
	})
}

func toTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
