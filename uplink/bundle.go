package uplink

import (
	"context"
	"sync"

	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/api/portcullis/v1/portcullisv1connect"
)

// maxRejection bounds the reason that central is told, in bytes.
const maxRejection = 4 << 10

// bundles remembers the bundle that could not be used: what is wrong may be a file of the node's own, and
// be put right.
type bundles struct {
	changed chan struct{}

	mu        sync.Mutex
	applied   int64
	rejected  int64
	why       string
	documents string // of the rejected one
}

// begin returns the bundle that is in force when a session begins.
func (b *bundles) begin(policies Policies) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.applied = policies.Bundle()
	return b.applied
}

func (b *bundles) rejection() (int64, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rejected, b.why
}

// take puts a bundle in force, or remembers why not.
func (u *Uplink) take(number int64, documents string) {
	err := u.options.Policies.Apply(number, documents)
	b := &u.bundles
	b.mu.Lock()
	log := u.options.Log.WithField("bundle", number)
	switch {
	case err == nil:
		log.Info("central's bundle is in force")
		b.applied, b.rejected, b.why, b.documents = number, 0, "", ""
	case b.rejected != number || b.why != shortened(err.Error()):
		log.WithError(err).Error("central's bundle cannot be used; what was in force stays")
		b.rejected, b.why, b.documents = number, shortened(err.Error()), documents
	}
	b.mu.Unlock()
	wake(b.changed)
}

// again tries a bundle that was rejected before once more.
func (u *Uplink) again() {
	u.bundles.mu.Lock()
	number, documents := u.bundles.rejected, u.bundles.documents
	u.bundles.mu.Unlock()
	if number != 0 {
		u.take(number, documents)
	}
}

// stale says whether what was put in force is not any more, because somebody changed the file.
func (u *Uplink) stale() bool {
	u.bundles.mu.Lock()
	defer u.bundles.mu.Unlock()
	if u.bundles.applied == 0 || u.options.Policies.Bundle() == u.bundles.applied {
		return false
	}
	u.bundles.applied = 0
	return true
}

func shortened(text string) string {
	if len(text) > maxRejection {
		return text[:maxRejection] + "…"
	}
	return text
}

func (u *Uplink) reportState(ctx context.Context, c portcullisv1connect.SyncServiceClient) error {
	ctx, cancel := context.WithTimeout(ctx, u.options.Times.Call)
	defer cancel()
	rejected, why := u.bundles.rejection()
	_, err := c.ReportState(ctx, &portcullisv1.ReportStateRequest{
		Info: u.options.Info(ctx), Bundle: u.options.Policies.Bundle(), RejectedBundle: rejected, Rejection: valid(why),
		Time: timestamppb.New(u.options.Now()),
	})
	return err
}

// keepReportingState says how the node is whenever that changes and now and then.
func (u *Uplink) keepReportingState(ctx context.Context, c portcullisv1connect.SyncServiceClient) error {
	for {
		wait(ctx, vary(u.options.Times.State), u.bundles.changed)
		wait(ctx, vary(u.options.Times.Report), nil)
		if ctx.Err() != nil {
			return nil
		}
		if u.stale() {
			return errStale
		}
		u.again()
		select { // what again has changed is reported now
		case <-u.bundles.changed:
		default:
		}
		err := u.insist(ctx, "ReportState", func(ctx context.Context) error { return u.reportState(ctx, c) })
		if err != nil {
			return err
		}
	}
}
