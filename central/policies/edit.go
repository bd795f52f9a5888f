package policies

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/policy"
)

// create adds a document of a kind whose name is new.
func (s *Service) create(ctx context.Context, kind, text string) (store.Document, error) {
	e, err := s.one(ctx, kind, text)
	if err != nil {
		return store.Document{}, err
	}
	all, err := s.change(ctx, false, func(all *set) error {
		if all.docs[e.key] != nil {
			return fmt.Errorf("%s %q: %w", e.kind, e.name, store.ErrExists)
		}
		_, err := all.put(e)
		return err
	})
	if err != nil {
		return store.Document{}, err
	}
	return *all.docs[e.key], nil
}

// update puts a document in the place of the one that has its name and the revision.
func (s *Service) update(ctx context.Context, kind, text string, revision int64) (store.Document, error) {
	e, err := s.one(ctx, kind, text)
	if err != nil {
		return store.Document{}, err
	}
	if revision <= 0 {
		return store.Document{}, rpc.Invalid(rpc.Problem("revision", "required; send the revision that was edited"))
	}
	all, err := s.change(ctx, false, func(all *set) error {
		if _, err := all.get(e.key, revision); err != nil {
			return err
		}
		_, err := all.put(e)
		return err
	})
	if err != nil {
		return store.Document{}, err
	}
	return *all.docs[e.key], nil
}

// remove deletes a document; revision 0 is any.
func (s *Service) remove(ctx context.Context, kind, name string, revision int64) error {
	if err := checkTarget(name, revision); err != nil {
		return err
	}
	_, err := s.change(ctx, false, func(all *set) error {
		d, err := all.get(key{kind, name}, revision)
		if err != nil {
			return err
		}
		all.delete(d)
		return nil
	})
	return err
}

func (s *Service) read(ctx context.Context, kind, name string) (d store.Document, err error) {
	if err := checkTarget(name, 0); err != nil {
		return d, err
	}
	err = s.store.Read(ctx, func(tx *store.Tx) error {
		d, err = tx.Document(ctx, kind, name)
		return err
	})
	return d, err
}

// checkTarget finds what no document can have as its name or revision.
func checkTarget(name string, revision int64) error {
	switch n := utf8.RuneCountInString(name); {
	case n == 0 || n > policy.MaxName:
		return rpc.Invalid(rpc.Problem("name", "has %d characters; write 1 to %d", n, policy.MaxName))
	case strings.ContainsFunc(name, unicode.IsControl):
		return rpc.Invalid(rpc.Problem("name", "holds a control character; no name does"))
	case revision < 0:
		return rpc.Invalid(rpc.Problem("revision", "is %d; send the revision that was seen, or 0 for any", revision))
	}
	return nil
}
