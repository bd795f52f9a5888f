// Package images answers: which images are there, where, and what is known of them?
//
// Nodes tell which images they have (Present); people and programs upload reports (Upload). A report is matched
// with images by the rules of a node's reports folder, by the same code, whenever either comes. What
// nodes are told of an image rests on the names that the very node holds for it: another node that lies
// about its images' names must not make this one's clean. People are shown what the names bring that the most
// nodes hold, and find images by all of them.
package images

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

// Bundles gives what nodes enforce.
type Bundles interface {
	// NewestBundle returns store.ErrNotFound while there is none.
	NewestBundle(ctx context.Context) (*portcullisv1.Bundle, error)
}

// Service is ImageService, the upload of reports, and what nodes ask of images.
type Service struct {
	store   *store.Store
	bundles Bundles
	options Options
	judge   *judge

	uploads chan struct{} // holds as many as there are uploads
	imports chan struct{} // holds as many as are being read

	mu       sync.Mutex
	compiled compiled // the newest bundle
}

// Options is what the service needs besides.
type Options struct {
	// Dir is where uploads are while they are read; the system's default where it is empty.
	Dir string
	Now func() time.Time
	Log logrus.FieldLogger
}

const (
	maxUploads = 16
	maxImports = 2
)

// New makes the service.
func New(s *store.Store, bundles Bundles, options Options) (*Service, error) {
	judge, err := newJudge()
	return &Service{
		store: s, bundles: bundles, options: options, judge: judge,
		uploads: make(chan struct{}, maxUploads), imports: make(chan struct{}, maxImports),
	}, err
}

const (
	keptUnseen   = 30 * 24 * time.Hour
	tidyInterval = time.Hour
)

// Run forgets images that no node has had for long, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(tidyInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := s.store.Tx(ctx, func(tx *store.Tx) error { return tx.DeleteOldImages(ctx, s.options.Now().Add(-keptUnseen)) })
		if err != nil && ctx.Err() == nil {
			s.options.Log.WithError(err).Warn("images that nobody has are not forgotten yet")
		}
	}
}

// defaultPlatform is of images that nobody has said it of.
const defaultPlatform = "linux/amd64"

// asScanner is an image by its names.
func asScanner(id string, names []store.ImageName) scanner.Image {
	image := scanner.Image{ID: id}
	for _, n := range names {
		switch n.Kind {
		case "tag":
			image.Tags = append(image.Tags, n.Name)
		case "digest":
			image.Digests = append(image.Digests, n.Name)
		}
	}
	return image
}

func scanState(v *verdict.Verdict) portcullisv1.ScanState {
	switch {
	case v == nil:
		return portcullisv1.ScanState_SCAN_STATE_UNSCANNED
	case slices.ContainsFunc(verdict.Kinds(), func(k verdict.Kind) bool { return !v.Covers(k) }):
		return portcullisv1.ScanState_SCAN_STATE_PARTIAL
	}
	return portcullisv1.ScanState_SCAN_STATE_SCANNED
}

func summary(v *verdict.Verdict) store.ImageSummary {
	s := store.ImageSummary{ScanState: int64(scanState(v)), Worst: store.NoSeverity}
	if v == nil {
		return s
	}
	for _, kind := range v.Scanned {
		s.Scanned = append(s.Scanned, string(kind))
	}
	s.ScanTime, s.Scanner = v.ScannedAt, short(v.Scanner.Name+" "+v.Scanner.Version)
	s.Vulnerabilities, s.Malware, s.Secrets = int64(len(v.Vulnerabilities)), int64(len(v.Malware)), int64(len(v.Secrets))
	for _, f := range v.Vulnerabilities {
		s.Worst = max(s.Worst, int64(f.Severity))
	}
	for _, f := range v.Malware {
		s.Worst = max(s.Worst, int64(f.Severity))
	}
	for _, f := range v.Secrets {
		s.Worst = max(s.Worst, int64(f.Level))
	}
	return s
}
