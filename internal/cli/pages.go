package cli

import (
	"errors"
	"fmt"
	"math"
)

// fetch returns one page, the token of the next one, and how many there are altogether, where that is known.
type fetch[T any] func(size int32, token string) (items []T, next string, total int64, err error)

// pages gathers at most limit things, all for 0, and says on the error output what was left out.
func pages[T any](c *call, limit, page int, get fetch[T]) ([]T, error) {
	if limit < 0 {
		return nil, errors.New("--limit: write 0 for all, or how many to show")
	}
	if limit == 0 {
		limit = math.MaxInt
	}
	var items []T
	token := ""
	for {
		size := min(page, limit-len(items))
		found, next, total, err := get(int32(size), token) //nolint:gosec // G115: at most a page
		if err != nil {
			return nil, err
		}
		items = append(items, found...)
		switch {
		case next == "":
			return items, nil
		case next == token:
			return nil, errors.New("central gives the same page again and again; is there a cache in between?")
		case len(items) >= limit:
			more := ""
			if total > int64(len(items)) {
				more = fmt.Sprintf(" of %d", total)
			}
			fmt.Fprintf(c.errOut, "shown are %d%s; write --limit 0 for all\n", len(items), more)
			return items[:limit], nil
		}
		token = next
	}
}
