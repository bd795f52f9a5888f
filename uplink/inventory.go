package uplink

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/api/portcullis/v1/portcullisv1connect"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

const (
	// reportedImages bounds the images of one report, and reportedBytes what is told of them.
	reportedImages = 1000
	reportedBytes  = 1 << 20
	// maxNames and maxNameLength bound what is told of an image's names.
	maxNames      = 50
	maxNameLength = 512
	// pullSettles is how long after a pull was seen the images are looked at.
	pullSettles = time.Second
)

// keepInventory tells central which images the node has, all at first and then what changed, and keeps the
// mirror of their verdicts.
func (u *Uplink) keepInventory(ctx context.Context, c portcullisv1connect.SyncServiceClient) error {
	told := map[string]*portcullisv1.PresentImage{}
	complete := true
	if u.changes.any() { // what was left of the last session
		u.changes.wakeUp()
	}
	next := time.Now().Add(u.bundles.spread()) // after a restart of central all nodes are here at once
	for {
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-u.changes.wake:
			if complete { // verdicts are asked for by names that central was told
				next = time.Now()
			}
		case <-u.seen:
			wait(ctx, min(pullSettles, u.options.Times.Inventory), nil)
			next = time.Now()
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
		if !time.Now().Before(next) {
			next = time.Now().Add(vary(u.options.Times.Inventory))
			present, err := u.present(ctx)
			if err != nil {
				u.options.Log.WithError(err).Debug("the runtime does not list its images")
				continue
			}
			if err := u.reportInventory(ctx, c, told, present, complete); err != nil {
				return err
			}
			told, complete = present, false
			u.mirror.keep(present)
		}
		if err := u.fetch(ctx, c, told); err != nil {
			return err
		}
	}
}

// present lists the images of the node, by ID.
func (u *Uplink) present(ctx context.Context) (map[string]*portcullisv1.PresentImage, error) {
	ctx, cancel := context.WithTimeout(ctx, u.options.Times.Call)
	defer cancel()
	images, err := u.options.Images.Images(ctx)
	if err != nil {
		return nil, err
	}
	present := make(map[string]*portcullisv1.PresentImage, len(images))
	for _, image := range images {
		if p := presentImage(image); verdict.ValidImageID(p.GetId()) {
			present[p.GetId()] = p
		}
	}
	return present, nil
}

func presentImage(image scanner.Image) *portcullisv1.PresentImage {
	return &portcullisv1.PresentImage{Id: canonicalID(image.ID), Tags: names(image.Tags), Digests: names(image.Digests)}
}

// canonicalID writes an image ID as CRI-O does not.
func canonicalID(id string) string {
	if !strings.Contains(id, ":") {
		return "sha256:" + id
	}
	return id
}

func names(list []string) []string {
	var some []string
	for _, name := range list[:min(len(list), maxNames)] {
		if len(name) <= maxNameLength {
			some = append(some, valid(name))
		}
	}
	slices.Sort(some)
	return some
}

// reportInventory tells what is different from what was told.
func (u *Uplink) reportInventory(ctx context.Context, c portcullisv1connect.SyncServiceClient, told, present map[string]*portcullisv1.PresentImage, complete bool) error {
	var added []*portcullisv1.PresentImage
	var removed []string
	for id, image := range present {
		if !proto.Equal(told[id], image) {
			added = append(added, image)
		}
	}
	for id := range told {
		if present[id] == nil {
			removed = append(removed, id)
		}
	}
	slices.SortFunc(added, func(a, b *portcullisv1.PresentImage) int { return cmp.Compare(a.GetId(), b.GetId()) })
	for complete || len(added)+len(removed) > 0 {
		request := &portcullisv1.ReportInventoryRequest{Complete: complete}
		size := 0
		for len(added) > 0 && len(request.GetAdded()) < reportedImages && size < reportedBytes {
			size += proto.Size(added[0])
			request.Added, added = append(request.Added, added[0]), added[1:]
		}
		request.RemovedIds, removed = removed[:min(len(removed), reportedImages)], removed[min(len(removed), reportedImages):]
		err := u.insist(ctx, "ReportInventory", func(ctx context.Context) error {
			_, err := c.ReportInventory(ctx, request)
			return err
		})
		if err != nil {
			return err
		}
		complete = false
	}
	return nil
}
