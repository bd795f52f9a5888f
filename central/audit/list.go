package audit

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sirupsen/logrus"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

// Options is what a Service needs besides the store.
type Options struct {
	// Retention is how long an entry is kept.
	Retention time.Duration
	Now       func() time.Time
	Log       logrus.FieldLogger
}

// Service is the AuditService.
type Service struct {
	store   *store.Store
	options Options
}

// NewService makes the AuditService.
func NewService(s *store.Store, options Options) *Service { return &Service{s, options} }

const (
	defaultPage = 100
	maxPage     = 500
	// maxPageBytes ends a page early: an entry may hold a document of 1 MiB before and after.
	maxPageBytes = 8 << 20
	// maxText bounds what is compared with.
	maxText = 256
)

// ListAuditEntries returns a page of the log.
func (s *Service) ListAuditEntries(ctx context.Context, request *portcullisv1.ListAuditEntriesRequest) (*portcullisv1.ListAuditEntriesResponse, error) {
	r := request
	for field, text := range map[string]string{"actor": r.GetActor(), "kind": r.GetKind(), "name": r.GetName()} {
		if len(text) > maxText {
			return nil, rpc.Invalid(rpc.Problem(field, "is %d bytes, at most %d can be looked for", len(text), maxText))
		}
	}
	size, err := rpc.PageSize(r.GetPageSize(), defaultPage, maxPage)
	if err != nil {
		return nil, err
	}
	var before string
	if _, err := rpc.ReadPageToken(r.GetPageToken(), &before); err != nil {
		return nil, err
	}
	filter := store.AuditFilter{Actor: r.GetActor(), Kind: r.GetKind(), Name: r.GetName(), From: fromTime(r.GetFrom()), To: fromTime(r.GetTo())}
	var entries []store.AuditEntry
	err = s.store.Read(ctx, func(tx *store.Tx) error {
		entries, err = tx.Audit(ctx, filter, before, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	response, err := page(entries, size)
	return response, err
}

func fromTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func page(entries []store.AuditEntry, size int) (*portcullisv1.ListAuditEntriesResponse, error) {
	response := &portcullisv1.ListAuditEntriesResponse{}
	bytes := 0
	for i, e := range entries {
		bytes += len(e.Before) + len(e.After)
		if i == size || i > 0 && bytes > maxPageBytes {
			var err error
			response.NextPageToken, err = rpc.PageToken(entries[i-1].ID)
			return response, err
		}
		entry, err := toEntry(e)
		if err != nil {
			return nil, err
		}
		response.Entries = append(response.Entries, entry)
	}
	return response, nil
}

func toEntry(e store.AuditEntry) (*portcullisv1.AuditEntry, error) {
	entry := &portcullisv1.AuditEntry{
		Id: e.ID, Time: timestamppb.New(e.Time), Actor: e.Actor, Address: e.Address, Method: e.Method, Kind: e.Kind, Name: e.Name,
	}
	for text, into := range map[*string]**structpb.Struct{&e.Before: &entry.Before, &e.After: &entry.After} {
		if *text == "" {
			continue
		}
		*into = &structpb.Struct{}
		if err := json.Unmarshal([]byte(*text), *into); err != nil {
			return nil, err
		}
	}
	return entry, nil
}
