package uplink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/api/portcullis/v1/portcullisv1connect"
)

// maxRejection bounds the reason that central is told, in bytes.
const maxRejection = 4 << 10

// maxSpread bounds what central may ask a node to wait.
const maxSpread = time.Minute

// bundles remembers the bundle that could not be used: what is wrong may be a file of the node's own, and
// be put right.
type bundles struct {
	changed chan struct{}

	taking sync.Mutex // one bundle is put in force at a time, and not an older one after it

	mu        sync.Mutex
	applied   int64
	rejected  int64
	why       string
	documents string        // of the rejected one
	whole     bool          // an edit could not be made, so that the whole bundle is to be asked for
	within    time.Duration // in which central wants to hear of a bundle, 0 where it has not said
}

// begin returns the bundle that is in force when a session begins, and what central is to be told of it.
func (b *bundles) begin(policies Policies) (inForce int64, told *portcullisv1.SyncRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.applied = policies.Bundle()
	told = &portcullisv1.SyncRequest{Edits: true}
	if !b.whole {
		told.Bundle, told.BundleSha256 = b.applied, policies.BundleSHA256()
	}
	return b.applied, told
}

func (b *bundles) rejection() (int64, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rejected, b.why
}

// takeWhole is take for a bundle that came whole.
func (u *Uplink) takeWhole(bundle *portcullisv1.Bundle) error {
	u.bundles.mu.Lock()
	u.bundles.whole = false
	u.bundles.mu.Unlock()
	return u.take(bundle.GetNumber(), bundle.GetDocuments(), "")
}

// takeEdit is take for a bundle that came as an edit. On an error it is to be asked for whole.
func (u *Uplink) takeEdit(edit *portcullisv1.BundleEdit) error {
	documents, err := edited(u.base(edit.GetFromSha256()), edit)
	if err == nil && edit.GetSha256() == "" {
		err = ErrOtherDocuments
	}
	if err == nil {
		err = u.take(edit.GetNumber(), documents, edit.GetSha256())
	}
	if err != nil {
		u.bundles.mu.Lock()
		u.bundles.whole = true
		u.bundles.mu.Unlock()
		return fmt.Errorf("edit of central's bundle: %w; it is asked for whole", err)
	}
	return nil
}

// base returns the documents that central edits: those it sent last, in force or not.
func (u *Uplink) base(sum string) string {
	u.bundles.mu.Lock()
	rejected, documents := u.bundles.rejected, u.bundles.documents
	u.bundles.mu.Unlock()
	if rejected != 0 && sum == sha256Of(documents) {
		return documents
	}
	return u.options.Policies.Documents()
}

func sha256Of(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// edited makes new documents of old ones. Whether the old ones are those that were meant, their checksum tells.
func edited(old string, edit *portcullisv1.BundleEdit) (string, error) {
	first, last := edit.GetFirst(), edit.GetLast()
	if first < 0 || last < 0 || first > int64(len(old)) || last > int64(len(old))-first {
		return "", ErrOtherDocuments
	}
	var text strings.Builder
	text.Grow(int(first+last) + len(edit.GetText())) // documents may be large, and are copied once
	text.WriteString(old[:first])
	text.Write(edit.GetText())
	text.WriteString(old[int64(len(old))-last:])
	return text.String(), nil
}

// take puts a bundle in force, or remembers why not. It returns ErrOtherDocuments where they are not the right ones.
func (u *Uplink) take(number int64, documents, sum string) error {
	u.bundles.taking.Lock()
	defer u.bundles.taking.Unlock()
	return u.takeLocked(number, documents, sum)
}

// takeLocked is take for who holds taking.
func (u *Uplink) takeLocked(number int64, documents, sum string) error {
	err := u.options.Policies.Apply(number, documents, sum)
	if errors.Is(err, ErrOtherDocuments) {
		return err
	}
	b := &u.bundles
	b.mu.Lock()
	log := u.options.Log.WithField("bundle", number)
	if err == nil {
		log.Info("central's bundle is in force")
		b.applied, b.rejected, b.why, b.documents = number, 0, "", ""
	} else {
		if b.rejected != number || b.why != shortened(err.Error()) {
			log.WithError(err).Error("central's bundle cannot be used; what was in force stays")
		}
		b.rejected, b.why, b.documents = number, shortened(err.Error()), documents
	}
	b.mu.Unlock()
	wake(b.changed)
	return nil
}

// reportAfter is how long a change is kept to itself after the last report. Central counts on it that a node calls once in
// the time that it has named, however many bundles there were.
func (b *bundles) reportAfter(times Times, sinceLast time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.within <= 0 {
		return vary(times.Report)
	}
	within := min(b.within, times.State)
	return max(time.Duration(rand.Int64N(int64(within))), within-sinceLast) //nolint:gosec // no secret
}

// spread is a moment within the time in which central wants to hear of a bundle, by chance; at once where it has not said.
// What can wait until then does, when thousands of nodes do it together.
func (b *bundles) spread() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.within <= 0 {
		return 0
	}
	return time.Duration(rand.Int64N(int64(min(b.within, maxSpread)))) //nolint:gosec // no secret
}

// reportWithin remembers what central has said of that.
func (b *bundles) reportWithin(within *durationpb.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.within = within.AsDuration()
}

// again tries a bundle that was rejected before once more.
func (u *Uplink) again() {
	u.bundles.taking.Lock()
	defer u.bundles.taking.Unlock()
	u.bundles.mu.Lock()
	number, documents := u.bundles.rejected, u.bundles.documents
	u.bundles.mu.Unlock()
	if number != 0 {
		_ = u.takeLocked(number, documents, "") // it fails only for a checksum
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
	last := time.Now()
	for {
		wait(ctx, vary(u.options.Times.State), u.bundles.changed)
		wait(ctx, u.bundles.reportAfter(u.options.Times, time.Since(last)), nil)
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
		last = time.Now()
		err := u.insist(ctx, "ReportState", func(ctx context.Context) error { return u.reportState(ctx, c) })
		if err != nil {
			return err
		}
	}
}
