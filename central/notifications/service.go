// Package notifications answers: who is told of new events, when and how?
//
// A new event leaves word in the database for each channel that wants it, in the transaction that counts
// it, so that nothing is lost. One replica at a time sends what has gathered for a channel; what could
// not be sent is tried again for a day.
package notifications

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/audit"
	"portcullis/central/store"
)

// Options is what a Service needs besides the store.
type Options struct {
	// AllowLocal lets channels reach this machine itself and what is link-local, and by HTTP without TLS.
	AllowLocal bool
	// Timeout bounds one attempt (default 15 s).
	Timeout time.Duration
	// Retry is how long the second attempt waits (default 5 s); each further one waits twice as long.
	Retry   time.Duration
	Now     func() time.Time
	Log     logrus.FieldLogger
	Metrics prometheus.Registerer
}

// Service is the NotificationService, and sends.
type Service struct {
	store   *store.Store
	options Options
	sent    *prometheus.CounterVec
}

// New makes a Service, which sends while Run runs.
func New(s *store.Store, options Options) *Service {
	if options.Timeout == 0 {
		options.Timeout = 15 * time.Second
	}
	if options.Retry == 0 {
		options.Retry = 5 * time.Second
	}
	service := &Service{store: s, options: options, sent: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "portcullis_central_notifications_total", Help: "Notifications: sent, failed for now, given up after a day.",
	}, []string{"result"})}
	options.Metrics.MustRegister(service.sent)
	return service
}

// topic is notified when a channel is changed.
const topic = "notifications"

// maxChannels bounds what every new event is compared with.
const maxChannels = 50

// ListChannels returns all channels, without secrets.
func (s *Service) ListChannels(ctx context.Context, _ *portcullisv1.ListChannelsRequest) (*portcullisv1.ListChannelsResponse, error) {
	var channels []store.Channel
	err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
		channels, err = tx.Channels(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	response := &portcullisv1.ListChannelsResponse{}
	for _, c := range channels {
		told, err := channel(c)
		if err != nil {
			return nil, err
		}
		response.Channels = append(response.Channels, told)
	}
	return response, nil
}

// PutChannel makes a channel, or changes it if its revision is the one that the caller saw.
func (s *Service) PutChannel(ctx context.Context, r *portcullisv1.PutChannelRequest) (*portcullisv1.PutChannelResponse, error) {
	wanted := r.GetChannel()
	if err := s.validate(wanted); err != nil {
		return nil, err
	}
	var now *portcullisv1.Channel
	err := s.store.Tx(ctx, func(tx *store.Tx) error {
		before, err := tx.Channel(ctx, wanted.GetName())
		isNew := errors.Is(err, store.ErrNotFound)
		if err != nil && !isNew {
			return err
		}
		if err := s.admit(ctx, tx, wanted, before, isNew); err != nil {
			return err
		}
		if err := tx.PutChannel(ctx, kept(wanted, before)); err != nil {
			return err
		}
		after, err := tx.Channel(ctx, wanted.GetName())
		if err != nil {
			return err
		}
		if now, err = channel(after); err != nil {
			return err
		}
		tx.Notify(topic, wanted.GetName())
		return record(ctx, tx, &before, &after, isNew)
	})
	return &portcullisv1.PutChannelResponse{Channel: now}, err
}

// admit refuses a change of what is not any more as the caller saw it.
func (s *Service) admit(ctx context.Context, tx *store.Tx, wanted *portcullisv1.Channel, before store.Channel, isNew bool) error {
	switch {
	case isNew && wanted.GetRevision() != 0:
		return fmt.Errorf("channel %q: %w", wanted.GetName(), store.ErrNotFound)
	case !isNew && wanted.GetRevision() == 0:
		return fmt.Errorf("channel %q: %w", wanted.GetName(), store.ErrExists)
	case !isNew && wanted.GetRevision() != before.Revision:
		return fmt.Errorf("channel %q, now of revision %d, %w", wanted.GetName(), before.Revision, store.ErrRevision)
	case !isNew:
		return nil
	}
	all, err := tx.Channels(ctx)
	if err == nil && len(all) >= maxChannels {
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("there are %d channels already, and no more can be made; delete one first", maxChannels))
	}
	return err
}

// kept is how the store keeps a channel. The secret stays as it is where the caller gave none.
func kept(c *portcullisv1.Channel, before store.Channel) store.Channel {
	settings := proto.CloneOf(c)
	settings.Revision, settings.LastSuccessTime, settings.LastError = 0, nil, ""
	k := store.Channel{Name: c.GetName(), Enabled: c.GetEnabled(), MinSeverity: severityRank(c.GetMinSeverity()), Revision: before.Revision + 1}
	if hook := settings.GetWebhook(); hook != nil {
		k.Secret = hook.GetSecret()
		if k.Secret == "" {
			k.Secret = before.Secret
		}
		hook.Secret = ""
	}
	for _, a := range c.GetActions() {
		k.Actions |= int(a)
	}
	if len(c.GetActions()) == 0 {
		k.Actions = 3
	}
	k.Settings = protojson.Format(settings)
	return k
}

// channel is what the API says of a channel: never the secret.
func channel(c store.Channel) (*portcullisv1.Channel, error) {
	told := &portcullisv1.Channel{}
	if err := protojson.Unmarshal([]byte(c.Settings), told); err != nil {
		return nil, fmt.Errorf("channel %q: %w", c.Name, err)
	}
	told.Revision, told.LastError = c.Revision, c.LastError
	if !c.LastSuccess.IsZero() {
		told.LastSuccessTime = timestamppb.New(c.LastSuccess)
	}
	return told, nil
}

// DeleteChannel deletes a channel and what it was not told yet.
func (s *Service) DeleteChannel(ctx context.Context, r *portcullisv1.DeleteChannelRequest) (*portcullisv1.DeleteChannelResponse, error) {
	err := s.store.Tx(ctx, func(tx *store.Tx) error {
		before, err := tx.Channel(ctx, r.GetName())
		if err != nil {
			return err
		}
		if err := tx.DeleteChannel(ctx, r.GetName()); err != nil {
			return err
		}
		return record(ctx, tx, &before, nil, false)
	})
	return &portcullisv1.DeleteChannelResponse{}, err
}

// record writes the audit log.
func record(ctx context.Context, tx *store.Tx, before, after *store.Channel, isNew bool) error {
	if isNew {
		before = nil
	}
	was, err := audited(before, before)
	if err != nil {
		return err
	}
	is, err := audited(after, before)
	if err != nil {
		return err
	}
	name := ""
	for _, c := range []*store.Channel{before, after} {
		if c != nil {
			name = c.Name
		}
	}
	return audit.Record(ctx, tx, "notification", name, was, is)
}

// audited is what the audit log says of a channel. A webhook's path often is its secret: of both is only told whether
// they are others than before, so that nobody leads notifications elsewhere unseen.
func audited(c, before *store.Channel) (any, error) {
	if c == nil {
		return nil, nil //nolint:nilnil // of what is not there nothing is said
	}
	told, err := channel(*c)
	if err != nil {
		return nil, err
	}
	told.LastError, told.LastSuccessTime = "", nil
	if hook := told.GetWebhook(); hook != nil {
		was := &portcullisv1.Channel{}
		if before == nil {
			before = &store.Channel{}
		} else if was, err = channel(*before); err != nil {
			return nil, err
		}
		hook.Url = origin(hook.GetUrl()) + another(was.GetWebhook().GetUrl(), hook.GetUrl())
		if c.Secret != "" {
			hook.Secret = "set" + another(before.Secret, c.Secret)
		}
	}
	text, err := protojson.Marshal(told)
	return json.RawMessage(text), err
}

// another is what is said of what was something else.
func another(was, is string) string {
	if was == "" || was == is {
		return ""
	}
	return " (another than before)"
}

func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/…"
}

// TestChannel sends a notification that says it is a test, whatever the window.
func (s *Service) TestChannel(ctx context.Context, r *portcullisv1.TestChannelRequest) (*portcullisv1.TestChannelResponse, error) {
	var c store.Channel
	err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
		c, err = tx.Channel(ctx, r.GetName())
		return err
	})
	if err != nil {
		return nil, err
	}
	response := &portcullisv1.TestChannelResponse{}
	if err := s.send(ctx, c, notification{ID: store.NewID(), Test: true}); err != nil {
		response.Error = err.Error()
	}
	return response, nil
}
