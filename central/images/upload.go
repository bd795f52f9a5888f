package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/audit"
	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/reports"
	"portcullis/scanner-client/verdict"
)

const (
	// UploadPath is where reports are uploaded.
	UploadPath = "/api/v1/reports"

	maxUpload     = 100 << 20
	uploadTimeout = 10 * time.Minute
	// keptReports bounds the reports of one scanner that name their image in the same way.
	keptReports = 5
	// timeAhead is how far a report's time may be ahead: a later one would outdo all true ones for ever.
	timeAhead = time.Hour
)

// Uploaded is the answer to an upload.
type Uploaded struct {
	Report json.RawMessage `json:"report"`
	// Images that it is about, of those that are known; it is kept for others, too.
	Images   []string `json:"images"`
	Warnings []string `json:"warnings,omitempty"`
}

// Upload takes the report in the body of a POST. The query's image says which image it is about, for reports that do not.
func (s *Service) Upload(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadTimeout)) // a test's recorder has none
	uploaded, err := s.upload(r)
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(uploaded) // the caller is gone
		return
	}
	err = rpc.Error(err, s.options.Log)
	status := map[connect.Code]int{
		connect.CodeInvalidArgument: http.StatusBadRequest, connect.CodeResourceExhausted: http.StatusTooManyRequests,
		connect.CodeOutOfRange: http.StatusRequestEntityTooLarge, connect.CodeUnavailable: http.StatusServiceUnavailable,
		connect.CodeUnimplemented: http.StatusUnsupportedMediaType, connect.CodeDeadlineExceeded: http.StatusRequestTimeout,
	}[connect.CodeOf(err)]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	var told *connect.Error
	if errors.As(err, &told) {
		http.Error(w, told.Message(), status)
		return
	}
	http.Error(w, err.Error(), status)
}

var (
	errBusy     = connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("%d reports are being uploaded, which is all at a time; try again later", maxUploads))
	errEncoding = connect.NewError(connect.CodeUnimplemented, errors.New("send the report as it is, not compressed"))
	errSpace    = connect.NewError(connect.CodeUnavailable, errors.New("central has no space for the report; try again later"))
	errLarge    = connect.NewError(connect.CodeOutOfRange, fmt.Errorf("the report is larger than %d MiB", maxUpload>>20))
)

func (s *Service) upload(r *http.Request) (*Uploaded, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, errEncoding
	}
	if r.ContentLength > maxUpload {
		return nil, errLarge
	}
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	default:
		return nil, errBusy
	}
	file, err := os.CreateTemp(s.options.Dir, "report-*.json")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := os.Remove(file.Name()); err != nil { // so that nothing is left when central is killed
		return nil, err
	}
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(file, hash), io.LimitReader(r.Body, maxUpload+1))
	var local *fs.PathError
	if errors.As(err, &local) {
		s.options.Log.WithError(err).Error("report cannot be taken in")
		return nil, errSpace
	}
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("the report did not arrive whole"))
	}
	if size > maxUpload {
		return nil, errLarge
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	report, err := s.importReport(r.Context(), file, r.URL.Query().Get("image"))
	if err != nil {
		return nil, err
	}
	caller := access.From(r.Context())
	report.Hash, report.Size, report.UploadedBy = hex.EncodeToString(hash.Sum(nil)), size, caller.Actor()
	if image := r.URL.Query().Get("image"); image != "" { // the same report may be about several
		report.Hash += " " + image
	}
	return s.file(r.Context(), report)
}

// imported is a report that was read, ready to be kept.
type imported struct {
	store.Report
	about    formats.About
	verdict  []byte
	warnings []string
}

// importReport reads a report. One that cannot be read to its end is refused, for its uploader is there to be told; only
// one with too many findings is kept as far as it was understood.
func (s *Service) importReport(ctx context.Context, file io.ReadSeeker, image string) (*imported, error) {
	select {
	case s.imports <- struct{}{}:
		defer func() { <-s.imports }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := s.options.Now()
	read, err := reports.Import(file, now, maxUpload)
	if err != nil && (read == nil || !errors.Is(err, verdict.ErrCut)) {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New(short(err.Error())))
	}
	report := &imported{warnings: read.Warnings[:min(len(read.Warnings), 20)]}
	if err != nil {
		report.Broken = short(err.Error())
		report.warnings = append(report.warnings, report.Broken)
	}
	if image != "" {
		if err := reports.Declare(image, &read.About); err != nil {
			return nil, rpc.Invalid(rpc.Problem("image", "%s", err))
		}
	}
	if read.About.NamesNothing() {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("the report does not say which image it is about; add ?image=sha256:… with the image's ID"))
	}
	v := &read.Verdict
	if v.ScannedAt.IsZero() {
		v.ScannedAt = now
	}
	if v.ScannedAt.After(now.Add(timeAhead)) {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("the report says that the scan was made at %s, which is in the future", v.ScannedAt.UTC().Format(time.RFC3339)))
	}
	return report, report.fill(read, now)
}

func (r *imported) fill(read *formats.Report, now time.Time) (err error) {
	v := &read.Verdict
	r.ID, r.UploadTime, r.ScanTime, r.Format, r.about = store.NewID(), now, v.ScannedAt, read.Format, read.About
	if r.Format == "portcullis" {
		r.Format = "verdict"
	}
	r.Scanner = short(v.Scanner.Name)
	about, err := json.Marshal(read.About)
	if err != nil {
		return err
	}
	kinds := v.Scanned
	if kinds == nil {
		kinds = []verdict.Kind{}
	}
	scanned, err := json.Marshal(kinds)
	if err != nil {
		return err
	}
	r.About, r.Scanned = string(about), string(scanned)
	r.verdict, err = pack(v)
	return err
}

// file keeps a report. One that is there already is not kept twice.
func (s *Service) file(ctx context.Context, report *imported) (*Uploaded, error) {
	var answer *Uploaded
	return answer, s.store.Tx(ctx, func(tx *store.Tx) error {
		keys := keysOf(&report.about)
		known, err := tx.ReportByHash(ctx, report.Hash)
		if errors.Is(err, store.ErrNotFound) {
			known, err = report.Report, s.keep(ctx, tx, report, keys)
		}
		if err != nil {
			return err
		}
		images, err := tx.ImagesByKeys(ctx, keys)
		if err != nil {
			return err
		}
		text, err := protojson.Marshal(toReport(&known))
		answer = &Uploaded{Report: text, Images: append([]string{}, images[:min(len(images), 100)]...), Warnings: report.warnings}
		return err
	})
}

func keysOf(about *formats.About) []string {
	keys := reports.KeysOfReport(about)
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (s *Service) keep(ctx context.Context, tx *store.Tx, report *imported, keys []string) error {
	if err := tx.CreateReport(ctx, report.Report, report.verdict, keys); err != nil {
		return err
	}
	old, err := tx.Superseded(ctx, report.Format, report.Scanner, report.About, keptReports)
	if err != nil {
		return err
	}
	for _, id := range old {
		if err := tx.DeleteReport(ctx, id); err != nil {
			return err
		}
	}
	if err := s.changed(ctx, tx, keys); err != nil {
		return err
	}
	return audit.Record(ctx, tx, "report", report.ID, nil, toReport(&report.Report))
}

// changed is for when reports under the keys came or went.
func (s *Service) changed(ctx context.Context, tx *store.Tx, keys []string) error {
	if err := tx.ChangeVerdicts(ctx, keys); err != nil {
		return err
	}
	ids, err := tx.ImagesByKeys(ctx, keys)
	if err != nil {
		return err
	}
	return s.summarise(ctx, tx, ids, true)
}

// DeleteReport forgets a report.
func (s *Service) DeleteReport(ctx context.Context, request *portcullisv1.DeleteReportRequest) (*portcullisv1.DeleteReportResponse, error) {
	return &portcullisv1.DeleteReportResponse{}, s.store.Tx(ctx, func(tx *store.Tx) error {
		report, err := tx.Report(ctx, request.GetId())
		if err != nil {
			return err
		}
		keys, err := tx.ReportKeys(ctx, report.ID)
		if err != nil {
			return err
		}
		if err := tx.DeleteReport(ctx, report.ID); err != nil {
			return err
		}
		if err := s.changed(ctx, tx, keys); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "report", report.ID, toReport(&report), nil)
	})
}

func toReport(r *store.Report) *portcullisv1.Report {
	return &portcullisv1.Report{
		Id: r.ID, Format: r.Format, Scanner: r.Scanner, ScanTime: toTime(r.ScanTime), UploadTime: toTime(r.UploadTime), UploadedBy: r.UploadedBy, SizeBytes: r.Size,
	}
}
