package images

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	lru "github.com/hashicorp/golang-lru/v2"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/reports"
	"portcullis/scanner-client/verdict"
)

const (
	// remembered answers of at most rememberedBytes each: nodes of one workload ask the same.
	remembered      = 1_000
	rememberedBytes = 64 << 10
	// judgements bounds those that go on at a time: each may take the memory of large reports.
	judgements = 4
)

// judge makes verdicts of the reports in the store.
type judge struct {
	answers *lru.Cache[[sha256.Size]byte, *portcullisv1.ImageVerdict]
	busy    chan struct{}
}

func newJudge() (*judge, error) {
	answers, err := lru.New[[sha256.Size]byte, *portcullisv1.ImageVerdict](remembered)
	return &judge{answers: answers, busy: make(chan struct{}, judgements)}, err
}

// filed finds the reports that may be about images, by the image's ID.
func filed(ctx context.Context, tx *store.Tx, images []scanner.Image) (map[string][]store.Report, error) {
	wanted := map[string][]string{} // images by key
	for _, image := range images {
		for _, key := range reports.KeysOfImage(image) {
			wanted[key] = append(wanted[key], image.ID)
		}
	}
	keys := make([]string, 0, len(wanted))
	for key := range wanted {
		keys = append(keys, key)
	}
	found, err := tx.ReportsByKeys(ctx, keys)
	if err != nil {
		return nil, err
	}
	byImage := map[string][]store.Report{}
	for _, k := range found {
		for _, id := range wanted[k.Key] {
			if !slices.ContainsFunc(byImage[id], func(r store.Report) bool { return r.ID == k.ID }) {
				byImage[id] = append(byImage[id], k.Report)
			}
		}
	}
	return byImage, nil
}

// verdict is what the reports say of an image. The errors are those of a scanner.Source, or the store's.
func (j *judge) verdict(ctx context.Context, tx *store.Tx, image scanner.Image, platform string, found []store.Report) (*verdict.Verdict, error) {
	if len(found) == 0 {
		return nil, scanner.ErrUnscanned
	}
	select {
	case j.busy <- struct{}{}:
		defer func() { <-j.busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	byName := map[string]*reports.Filed{}
	all := make([]reports.Filed, len(found))
	for i := range found {
		one, err := toFiled(&found[i])
		if err != nil {
			return nil, err
		}
		all[i] = *one
		byName[one.Name] = one
	}
	if platform == "" {
		platform = defaultPlatform
	}
	var failure error // of the store, which is not the report's
	v, err := reports.Judge(ctx, image, platform, all, func(name string) (*formats.Report, error) {
		report, err := read(ctx, tx, byName[name])
		if err != nil {
			failure = err
			return nil, err
		}
		if broken := byName[name].Broken; broken != "" {
			return report, errors.New(broken)
		}
		return report, nil
	})
	if failure != nil {
		return nil, failure
	}
	return v, err
}

func toFiled(r *store.Report) (*reports.Filed, error) {
	f := &reports.Filed{Name: r.ID, ScannedAt: r.ScanTime, Broken: r.Broken}
	if err := json.Unmarshal([]byte(r.About), &f.About); err != nil {
		return nil, fmt.Errorf("report %s: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(r.Scanned), &f.Scanned); err != nil {
		return nil, fmt.Errorf("report %s: %w", r.ID, err)
	}
	return f, nil
}

func read(ctx context.Context, tx *store.Tx, f *reports.Filed) (*formats.Report, error) {
	packed, err := tx.ReportVerdict(ctx, f.Name)
	if err != nil {
		return nil, err
	}
	report := &formats.Report{About: f.About}
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err == nil {
		err = json.NewDecoder(unpacked).Decode(&report.Verdict)
	}
	if err != nil {
		return nil, fmt.Errorf("report %s in the database: %w", f.Name, err)
	}
	return report, nil
}

// pack is what read reads.
func pack(v *verdict.Verdict) ([]byte, error) {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if err := json.NewEncoder(writer).Encode(v); err != nil {
		return nil, err
	}
	err := writer.Close()
	return packed.Bytes(), err
}

// answer is what a node is told of an image.
func (j *judge) answer(ctx context.Context, tx *store.Tx, image scanner.Image, platform string, found []store.Report) (*portcullisv1.ImageVerdict, error) {
	key := answerKey(image, platform, found)
	if known, ok := j.answers.Get(key); ok {
		return known, nil
	}
	answer := &portcullisv1.ImageVerdict{ImageId: image.ID}
	v, err := j.verdict(ctx, tx, image, platform, found)
	switch {
	case errors.Is(err, scanner.ErrUnscanned):
		return answer, nil
	case errors.Is(err, scanner.ErrUnreadable):
		answer.Incomplete = short(err.Error())
	case err != nil:
		return nil, err
	}
	if v != nil {
		var text bytes.Buffer
		if err := verdict.Write(&text, v); err != nil {
			return nil, err
		}
		answer.Verdict = text.Bytes()
	}
	if len(answer.GetVerdict()) > verdict.MaxFileSize {
		answer.Verdict, answer.Incomplete = nil, "the verdict is larger than a node takes"
	}
	if len(answer.GetVerdict()) <= rememberedBytes {
		j.answers.Add(key, answer)
	}
	return answer, nil
}

// answerKey holds all that an answer rests on: a report never changes.
func answerKey(image scanner.Image, platform string, found []store.Report) [sha256.Size]byte {
	var ids []string
	for _, r := range found {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	text, _ := json.Marshal([]any{image, platform, ids}) // strings always can be
	return sha256.Sum256(text)
}

// short is a text of a report's on one line, and not longer than a line should be.
func short(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text))
	if runes := []rune(text); len(runes) > 500 {
		return string(runes[:499]) + "…"
	}
	return text
}
