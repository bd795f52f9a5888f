package events

import (
	"context"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

const (
	defaultPage = 50
	maxPage     = 500
	maxTotal    = 10_000
	// maxPageBytes ends a page early: each event may hold evidence of 64 KiB and more.
	maxPageBytes = 8 << 20
)

// ListEvents returns a page of the events that the filter lets through.
func (s *Service) ListEvents(ctx context.Context, r *portcullisv1.ListEventsRequest) (*portcullisv1.ListEventsResponse, error) {
	f, err := filter(r.GetFilter())
	if err != nil {
		return nil, err
	}
	order, known := orders[r.GetOrder()]
	if !known {
		return nil, rpc.Invalid(rpc.Problem("order", "%d is not known", r.GetOrder()))
	}
	size, err := rpc.PageSize(r.GetPageSize(), defaultPage, maxPage)
	if err != nil {
		return nil, err
	}
	var last store.EventPosition
	after := &last
	if further, err := rpc.ReadPageToken(r.GetPageToken(), after); err != nil {
		return nil, err
	} else if !further {
		after = nil
	}
	var found []store.Event
	var total int
	err = s.store.Read(ctx, func(tx *store.Tx) (err error) {
		found, total, err = tx.Events(ctx, f, order, after, size+1, maxTotal)
		return err
	})
	if err != nil {
		return nil, err
	}
	return page(found, size, total)
}

func page(found []store.Event, size, total int) (*portcullisv1.ListEventsResponse, error) {
	response := &portcullisv1.ListEventsResponse{Total: int64(total)}
	bytes := 0
	for i, e := range found {
		bytes += len(e.Evidence)
		if i == size || i > 0 && bytes > maxPageBytes {
			token, err := rpc.PageToken(found[i-1].Position)
			response.NextPageToken = token
			return response, err
		}
		told, err := event(e)
		if err != nil {
			return nil, err
		}
		response.Events = append(response.Events, told)
	}
	return response, nil
}
