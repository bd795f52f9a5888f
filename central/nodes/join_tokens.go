package nodes

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/audit"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

const (
	defaultTTL     = 24 * time.Hour
	minTTL         = time.Minute
	maxTTL         = 30 * 24 * time.Hour
	maxUses        = 10_000
	maxTokens      = 1_000 // that can be used at a time
	maxDescription = 256   // characters
)

// tokenForm is a join token: its ID, its secret, and the fingerprint by which a node knows central.
var tokenForm = regexp.MustCompile(`^pcj_([0-9a-f-]{36})\.([A-Z2-7]{52})\.[0-9a-f]{64}$`)

// CreateJoinToken makes a token that lets nodes join.
func (s *Service) CreateJoinToken(ctx context.Context, request *portcullisv1.CreateJoinTokenRequest) (*portcullisv1.CreateJoinTokenResponse, error) {
	caller := access.From(ctx)
	return s.CreateTokenAs(ctx, caller.Actor(), request)
}

// CreateTokenAs is CreateJoinToken for who need not log in. The context says to the audit log who is acting.
func (s *Service) CreateTokenAs(ctx context.Context, by string, request *portcullisv1.CreateJoinTokenRequest) (*portcullisv1.CreateJoinTokenResponse, error) {
	now := s.options.Now()
	token, err := newToken(request, by, now)
	if err != nil {
		return nil, err
	}
	secret := rand.Text() + rand.Text()
	token.Hash = access.HashSecret(secret)
	err = s.store.Tx(ctx, func(tx *store.Tx) error {
		have, err := tx.JoinTokens(ctx, now)
		if err != nil {
			return err
		}
		if len(have) >= maxTokens {
			return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("there are %d join tokens, which is all there can be; delete some", len(have)))
		}
		if err := tx.CreateJoinToken(ctx, token); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "join-token", token.ID, nil, toToken(token))
	})
	if err != nil {
		return nil, err
	}
	return &portcullisv1.CreateJoinTokenResponse{
		Token: toToken(token), Secret: fmt.Sprintf("pcj_%s.%s.%s", token.ID, secret, s.pki.KeyFingerprint()),
		Command: fmt.Sprintf("portcullisd join --central %s --token-file FILE", s.options.URL),
	}, nil
}

func newToken(r *portcullisv1.CreateJoinTokenRequest, by string, now time.Time) (store.JoinToken, error) {
	var problems []*portcullisv1.FieldProblem
	if utf8.RuneCountInString(r.GetDescription()) > maxDescription || clean(r.GetDescription(), maxDescription) != r.GetDescription() {
		problems = append(problems, rpc.Problem("description", "is too long or holds control characters; write one line of at most %d characters", maxDescription))
	}
	ttl := defaultTTL
	if r.GetTtl() != nil {
		ttl = r.GetTtl().AsDuration()
	}
	if ttl < minTTL || ttl > maxTTL {
		problems = append(problems, rpc.Problem("ttl", "%s is out of range; set 1 minute to 30 days", ttl))
	}
	uses := r.GetUses()
	if uses == 0 {
		uses = 1
	}
	if uses < 0 || uses > maxUses {
		problems = append(problems, rpc.Problem("uses", "%d is out of range; set 1 to %d", uses, maxUses))
	}
	if problems != nil {
		return store.JoinToken{}, rpc.Invalid(problems...)
	}
	return store.JoinToken{
		ID: store.NewID(), Description: r.GetDescription(), UsesLeft: int64(uses), CreatedBy: by, CreateTime: now, ExpireTime: now.Add(ttl),
	}, nil
}

// ListJoinTokens returns those that can still be used.
func (s *Service) ListJoinTokens(ctx context.Context, _ *portcullisv1.ListJoinTokensRequest) (*portcullisv1.ListJoinTokensResponse, error) {
	response := &portcullisv1.ListJoinTokensResponse{}
	return response, s.store.Read(ctx, func(tx *store.Tx) error {
		tokens, err := tx.JoinTokens(ctx, s.options.Now())
		response.Tokens = nil
		for _, t := range tokens {
			response.Tokens = append(response.Tokens, toToken(t))
		}
		return err
	})
}

// DeleteJoinToken ends a token. Nodes that joined with it stay.
func (s *Service) DeleteJoinToken(ctx context.Context, request *portcullisv1.DeleteJoinTokenRequest) (*portcullisv1.DeleteJoinTokenResponse, error) {
	return &portcullisv1.DeleteJoinTokenResponse{}, s.store.Tx(ctx, func(tx *store.Tx) error {
		token, err := tx.JoinToken(ctx, request.GetId())
		if err != nil {
			return err
		}
		if err := tx.DeleteJoinToken(ctx, token.ID); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "join-token", token.ID, toToken(token), nil)
	})
}

func toToken(t store.JoinToken) *portcullisv1.JoinToken {
	return &portcullisv1.JoinToken{
		Id: t.ID, Description: t.Description, ExpireTime: toTime(t.ExpireTime), UsesLeft: int32(t.UsesLeft), //nolint:gosec // G115: at most maxUses
		CreatedBy: t.CreatedBy, CreateTime: toTime(t.CreateTime),
	}
}

// errToken says nothing of why: whoever guesses must not learn what is right already.
var errToken = connect.NewError(connect.CodeUnauthenticated, fmt.Errorf("the join token is not valid; it was used up, has expired, was deleted, or was never given"))

// findToken returns the ID of a join token whose secret is right.
func findToken(ctx context.Context, tx *store.Tx, text string) (id string, err error) {
	parts := tokenForm.FindStringSubmatch(text)
	if parts == nil {
		return "", errToken
	}
	token, err := tx.JoinToken(ctx, parts[1])
	if isNotFound(err) {
		return "", errToken
	}
	if err != nil {
		return "", err
	}
	if subtle.ConstantTimeCompare(token.Hash, access.HashSecret(parts[2])) != 1 {
		return "", errToken
	}
	return token.ID, nil
}
