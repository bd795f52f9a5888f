// Package audit answers: who changed what, when and from where?
//
// A change and its entry are written in one transaction, so that there is neither without the other.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"portcullis/central/store"
)

// Actor is who makes a change, and by what.
type Actor struct {
	Name    string // user:NAME, token:ID of NAME, node:ID or system
	Address string
	Method  string // such as CreatePolicy
	Time    time.Time
}

type actorKey struct{}

// With returns a context whose changes are the actor's.
func With(ctx context.Context, a Actor) context.Context { return context.WithValue(ctx, actorKey{}, a) }

// Record writes that the named thing of a kind (policy, exemption, report, node, join-token, user,
// token, notification, session) was changed. Before is nil for what was created, after for what was
// deleted; both are a proto message or anything that JSON can hold, without secrets.
func Record(ctx context.Context, tx *store.Tx, kind, name string, before, after any) error {
	actor, ok := ctx.Value(actorKey{}).(Actor)
	if !ok {
		return fmt.Errorf("audit of %s %q: the context does not say who is acting", kind, name)
	}
	entry := store.AuditEntry{
		ID: store.NewID(), Time: actor.Time, Actor: actor.Name, Address: actor.Address, Method: actor.Method, Kind: kind, Name: name,
	}
	var err error
	if entry.Before, err = encode(before); err != nil {
		return fmt.Errorf("audit of %s %q: %w", kind, name, err)
	}
	if entry.After, err = encode(after); err != nil {
		return fmt.Errorf("audit of %s %q: %w", kind, name, err)
	}
	return tx.AddAudit(ctx, entry)
}

func encode(value any) (string, error) {
	if value == nil {
		return "", nil
	}
	if message, ok := value.(proto.Message); ok {
		text, err := protojson.Marshal(message)
		return string(text), err
	}
	text, err := json.Marshal(value)
	return string(text), err
}

// As returns a context in which somebody else acts, by the same call: who proved only in the call who
// they are.
func As(ctx context.Context, name string) context.Context {
	actor, _ := ctx.Value(actorKey{}).(Actor)
	actor.Name = name
	return With(ctx, actor)
}
