package images

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	"portcullis/policy"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

// GetImage returns an image with its verdict, its reports, and what would happen if it started now.
func (s *Service) GetImage(ctx context.Context, request *portcullisv1.GetImageRequest) (*portcullisv1.GetImageResponse, error) {
	response := &portcullisv1.GetImageResponse{}
	var image scanner.Image
	var v *verdict.Verdict
	var failed bool
	err := s.store.Read(ctx, func(tx *store.Tx) error {
		response.Reports = nil
		known, err := tx.Image(ctx, request.GetId())
		if err != nil {
			return err
		}
		names, err := tx.ImageNames(ctx, []string{known.ID})
		if err != nil {
			return err
		}
		if response.Image, err = toImage(ctx, tx, &known, names[known.ID]); err != nil {
			return err
		}
		image = asScanner(known.ID, names[known.ID])
		var found []store.Report
		v, failed, found, err = s.known(ctx, tx, image, known.Platform)
		for i := range found {
			response.Reports = append(response.Reports, toReport(&found[i]))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if v != nil {
		if response.Verdict, err = toStruct(v); err != nil {
			return nil, err
		}
	}
	return response, s.explain(ctx, image, policy.Knowledge{Verdict: v, Failed: failed}, response)
}

// known is what is known of an image, and the reports that may be about it, the newest first.
func (s *Service) known(ctx context.Context, tx *store.Tx, image scanner.Image, platform string) (v *verdict.Verdict, failed bool, found []store.Report, err error) {
	byImage, err := filed(ctx, tx, []scanner.Image{image})
	if err != nil {
		return nil, false, nil, err
	}
	found = byImage[image.ID]
	slices.SortFunc(found, func(a, b store.Report) int { return cmp.Or(b.ScanTime.Compare(a.ScanTime), cmp.Compare(b.ID, a.ID)) })
	v, err = s.judge.verdict(ctx, tx, image, platform, found)
	if errors.Is(err, scanner.ErrUnscanned) || errors.Is(err, scanner.ErrUnreadable) {
		failed, err = errors.Is(err, scanner.ErrUnreadable), nil
	}
	return v, failed, found, err
}

func toStruct(v *verdict.Verdict) (*structpb.Struct, error) {
	var text bytes.Buffer
	if err := verdict.Write(&text, v); err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(text.Bytes(), &fields); err != nil {
		return nil, err
	}
	return structpb.NewStruct(fields)
}

// compiled is a bundle as nodes compile it.
type compiled struct {
	number int64
	bundle *policy.Bundle
}

func (s *Service) explain(ctx context.Context, image scanner.Image, knowledge policy.Knowledge, response *portcullisv1.GetImageResponse) error {
	bundle, err := s.newest(ctx)
	if err != nil || bundle == nil {
		return err
	}
	container := &policy.Container{Image: toPolicy(image)}
	decision, steps := bundle.Explain(container, knowledge, s.options.Now())
	switch decision.Action {
	case policy.Alert:
		response.Action = portcullisv1.Action_ACTION_ALERT
	case policy.Block:
		response.Action = portcullisv1.Action_ACTION_BLOCK
	}
	for _, step := range steps {
		response.Steps = append(response.Steps, &portcullisv1.PolicyStep{Policy: step.Policy, Says: step.Says})
	}
	return nil
}

// newest compiles the newest bundle, nil while there is none.
func (s *Service) newest(ctx context.Context) (*policy.Bundle, error) {
	bundle, err := s.bundles.NewestBundle(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // that there is none is not an error
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.compiled.bundle != nil && s.compiled.number == bundle.GetNumber() {
		return s.compiled.bundle, nil
	}
	documents := &policy.Documents{}
	if bundle.GetDocuments() != "" {
		if documents, err = policy.Parse(policy.Source{Name: "bundle", Data: []byte(bundle.GetDocuments())}); err != nil {
			return nil, err
		}
	}
	ready, err := policy.Compile(documents, policy.Options{})
	if err != nil {
		return nil, err
	}
	s.compiled = compiled{bundle.GetNumber(), ready}
	return ready, nil
}
