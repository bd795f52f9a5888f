package policies

import (
	"cmp"
	"slices"
)

// top keeps the items that rank highest.
type top[T any] struct {
	rank  func(T) (int64, string)
	items []T
}

func (t *top[T]) add(item T) {
	t.items = append(t.items, item)
	if len(t.items) >= 2*previewListed {
		t.list()
	}
}

// list returns what is kept, the highest first.
func (t *top[T]) list() []T {
	slices.SortStableFunc(t.items, func(a, b T) int {
		m, x := t.rank(a)
		n, y := t.rank(b)
		return cmp.Or(cmp.Compare(n, m), cmp.Compare(x, y))
	})
	if len(t.items) > previewListed {
		clear(t.items[previewListed:])
		t.items = t.items[:previewListed]
	}
	return t.items
}
