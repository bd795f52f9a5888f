package centralapp

import (
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/audit"
	"portcullis/central/nodes"
	"portcullis/central/pki"
	"portcullis/central/store"
)

// CreateToken makes a join token in the database that config names, for who may read that anyway.
func CreateToken(ctx context.Context, config Config, request *portcullisv1.CreateJoinTokenRequest) (_ *portcullisv1.CreateJoinTokenResponse, err error) {
	log := config.NewLogger()
	log.SetLevel(min(log.GetLevel(), logrus.WarnLevel)) // who wants a token wants no news of certificates
	s, err := store.Open(ctx, store.Options{URL: config.Database, Log: log})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	authority, err := pki.Open(ctx, s, pki.Options{Names: config.Names, Files: pki.Files(config.TLS), Data: config.Data, Now: time.Now, Log: log})
	if err != nil {
		return nil, err
	}
	service := nodes.NewService(s, nil, authority, nodes.Options{URL: config.url(), Now: time.Now, Log: log})
	ctx = audit.With(ctx, audit.Actor{Name: "system", Method: "token create", Time: time.Now()})
	return service.CreateTokenAs(ctx, "system", request)
}
