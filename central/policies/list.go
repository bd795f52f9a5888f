package policies

import (
	"context"

	"portcullis/central/rpc"
	"portcullis/central/store"
)

// listed is one page.
type listed struct {
	docs  []store.Document
	next  string
	total int64
}

const (
	defaultPage = 100
	maxPage     = 500
	// maxPageBytes ends a page early; what is told of a document takes about three times its size.
	maxPageBytes = 4 << 20
	maxSearch    = 200
)

func (s *Service) list(ctx context.Context, filter store.DocumentFilter, pageSize int32, pageToken string) (*listed, error) {
	if n := len([]rune(filter.Search)); n > maxSearch {
		return nil, rpc.Invalid(rpc.Problem("search", "has %d characters, at most %d can be looked for", n, maxSearch))
	}
	size, err := rpc.PageSize(pageSize, defaultPage, maxPage)
	if err != nil {
		return nil, err
	}
	var after string
	if _, err := rpc.ReadPageToken(pageToken, &after); err != nil {
		return nil, err
	}
	page := &listed{}
	err = s.store.Read(ctx, func(tx *store.Tx) error {
		if page.total, err = tx.CountDocuments(ctx, filter); err != nil {
			return err
		}
		page.docs, err = tx.ListDocuments(ctx, filter, after, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	n := fitting(page.docs, size, textSize)
	if n < len(page.docs) {
		page.docs = page.docs[:n]
		page.next, err = rpc.PageToken(page.docs[n-1].Name)
	}
	return page, err
}

// fitting is how many of the items make a page.
func fitting[T any](items []T, size int, bytes func(T) int) int {
	sum := 0
	for i, item := range items {
		sum += bytes(item)
		if i == size || i > 0 && sum > maxPageBytes {
			return i
		}
	}
	return len(items)
}

func textSize(d store.Document) int { return len(d.Text) }
