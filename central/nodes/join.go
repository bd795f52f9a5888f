package nodes

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/audit"
	"portcullis/central/pki"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// Join makes the caller a node, by a join token.
func (s *Sync) Join(ctx context.Context, request *portcullisv1.JoinRequest) (*portcullisv1.JoinResponse, error) {
	if err := s.store.Read(ctx, func(tx *store.Tx) error { _, err := findToken(ctx, tx, request.GetToken()); return err }); err != nil {
		return nil, err // before anything that costs more
	}
	if problems := checkInfo(request.GetInfo()); problems != nil {
		return nil, rpc.Invalid(problems...)
	}
	now := s.options.Now()
	node := store.Node{
		ID: store.NewID(), Name: request.GetInfo().GetName(), Cluster: request.GetInfo().GetCluster(), JoinTime: now, LastContactTime: now,
		NodeStatus: statusOf(request.GetInfo()),
	}
	certificate, expires, err := s.issue(request.GetCertificateRequest(), node.ID)
	if err != nil {
		return nil, err
	}
	node.ExpireTime = expires
	if err := s.store.Tx(ctx, func(tx *store.Tx) error { return s.admit(ctx, tx, request.GetToken(), &node, now) }); err != nil {
		return nil, err
	}
	s.options.Log.WithField("node", node.ID).WithField("name", node.Name).Info("node joined")
	return &portcullisv1.JoinResponse{NodeId: node.ID, Certificate: certificate, Authorities: s.pki.Authorities()}, nil
}

// admit takes one use of the token for the node.
func (s *Sync) admit(ctx context.Context, tx *store.Tx, token string, node *store.Node, now time.Time) error {
	id, err := findToken(ctx, tx, token)
	if err != nil {
		return err
	}
	used, err := tx.UseJoinToken(ctx, id, now)
	if err != nil {
		return err
	}
	if !used {
		return errToken
	}
	ctx = audit.As(ctx, "join-token:"+id)
	before, err := tx.NodeByName(ctx, node.Cluster, node.Name, now)
	switch {
	case isNotFound(err):
	case err != nil:
		return err
	case before.Connected:
		return connect.NewError(connect.CodeAlreadyExists,
			fmt.Errorf("a node %q of cluster %q is connected; stop portcullisd there or remove the node, or join under another name", node.Name, node.Cluster))
	default:
		if err := s.Remove(ctx, tx, &before); err != nil {
			return err
		}
	}
	if err := tx.CreateNode(ctx, *node); err != nil {
		return err
	}
	return audit.Record(ctx, tx, "node", node.ID, nil, audited(node))
}

func (s *Sync) issue(request []byte, nodeID string) (certificate []byte, expires time.Time, err error) {
	certificate, err = s.pki.Issue(request, nodeID)
	if errors.Is(err, pki.ErrRequest) {
		return nil, time.Time{}, rpc.Invalid(rpc.Problem("certificate_request", "%s", err))
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, time.Time{}, err
	}
	return certificate, parsed.NotAfter, nil
}

// Renew gives the calling node a new certificate.
func (s *Sync) Renew(ctx context.Context, request *portcullisv1.RenewRequest) (*portcullisv1.RenewResponse, error) {
	id := access.From(ctx).Name
	certificate, expires, err := s.issue(request.GetCertificateRequest(), id)
	if err != nil {
		return nil, err
	}
	if err := s.store.Tx(ctx, func(tx *store.Tx) error { return tx.RenewNode(ctx, id, expires) }); err != nil {
		return nil, err
	}
	return &portcullisv1.RenewResponse{Certificate: certificate, Authorities: s.pki.Authorities()}, nil
}
