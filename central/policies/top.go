package policies

import (
	"cmp"
	"slices"

	portcullisv1 "portcullis/api/portcullis/v1"
)

// ranked is how an item stands among others: what is blocked before what is alerted, then by count and by name.
type ranked struct {
	action portcullisv1.Action
	count  int64
	name   string
}

// top keeps the items that rank highest.
type top[T any] struct {
	rank  func(T) ranked
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
		x, y := t.rank(a), t.rank(b)
		return cmp.Or(cmp.Compare(y.action, x.action), cmp.Compare(y.count, x.count), cmp.Compare(x.name, y.name))
	})
	if len(t.items) > previewListed {
		clear(t.items[previewListed:])
		t.items = t.items[:previewListed]
	}
	return t.items
}
