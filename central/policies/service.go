// Package policies answers: which policies and exemptions are in force everywhere, and what would one
// more of them do?
//
// A policy or exemption is a YAML document. Every change is one transaction: it takes the whole set as it
// would be, has it compiled by the very code of the nodes, writes what changed with its revision and audit
// entry, and makes the next numbered bundle of it. So a bundle that a node gets always compiles.
package policies

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"portcullis/central/store"
)

// The limits of what central keeps, in bytes and numbers.
const (
	// MaxDocument bounds one policy or exemption.
	MaxDocument = 1 << 20
	// MaxBundle bounds all documents together: a node's policy file may have 16 MiB.
	MaxBundle = 12 << 20
	// MaxDocuments bounds the policies, and the exemptions.
	MaxDocuments = 10_000
)

// Hits counts the decisions in which a policy matched.
type Hits struct{ Blocked, Alerted int64 }

// HitCounter knows the events.
type HitCounter interface {
	// PolicyHits counts the decisions since a time in which policies matched, by their names; what is
	// missing had none.
	PolicyHits(ctx context.Context, policies []string, since time.Time) (map[string]Hits, error)
}

// Options is what the service needs to know of nodes and events.
type Options struct {
	Hits   HitCounter
	Images Images
	// Starts are those that were allowed, and those that were not.
	Starts []Starts
	Now    func() time.Time
}

// Service is the PolicyService.
type Service struct {
	store   *store.Store
	options Options
	// parsing bounds how many requests' documents are read at the same time, because of the memory that takes.
	parsing *semaphore.Weighted
	// previews bounds how many previews go on at the same time.
	previews *semaphore.Weighted
}

// NewService makes the PolicyService.
func NewService(s *store.Store, options Options) *Service {
	return &Service{s, options, semaphore.NewWeighted(2), semaphore.NewWeighted(2)}
}
