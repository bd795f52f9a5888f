package node

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/reports"
	"portcullis/uplink"
)

const (
	// snapshotInterval is how often the verdict cache is kept for the next start; it is also kept when
	// the daemon stops.
	snapshotInterval = 5 * time.Minute
	// warmRetry is how long to wait for a runtime that does not list its images yet.
	warmRetry = time.Second
)

// openVerdicts makes the cache of verdicts and its sources, with what an earlier run knew.
func (n *Node) openVerdicts() error {
	chain, err := n.openSources()
	if err != nil {
		return err
	}
	n.chain = chain
	n.verdicts, err = scanner.NewCache(chain, scanner.CacheOptions{
		Size: n.config.VerdictCache.Size, TTL: n.config.VerdictCache.TTL, Timeout: n.config.Timeouts.Decision,
		FlightTimeout: n.config.lookupTime(), Images: n.images, Now: n.now, Origin: n.config.origin(),
	})
	if err != nil {
		return err
	}
	n.onStop(n.verdicts.Close)
	restored, err := n.verdicts.Restore(n.snapshotFile())
	switch {
	case errors.Is(err, scanner.ErrOtherOrigin):
		n.log.Warn("verdicts kept from before the start are from other sources than those configured now; images are looked up again")
	case err != nil:
		n.log.WithError(err).Error("verdicts kept from before the start cannot be used; images are looked up again")
	}
	n.forgetMissedOfCentral()
	for _, folder := range n.folders {
		if err := folder.Restore(folder.index); err != nil {
			n.log.WithError(err).Error("all reports are read again")
		}
		n.forgetMissed(folder)
	}
	n.log.WithField("verdicts", restored).Debug("verdicts restored")
	n.collectInTime()
	n.onStop(n.snapshot)
	return nil
}

// origin tells apart configurations that may come to different verdicts.
func (c *Config) origin() string {
	sources := slices.Clone(c.Sources)
	for i := range sources {
		sources[i].Timeout = 0 // decides when there is an answer, not which
	}
	description, _ := json.Marshal(sources) // texts and numbers only
	return fmt.Sprintf("%x %s/%s", sha256.Sum256(description), runtime.GOOS, runtime.GOARCH)
}

// forgetMissed forgets the restored verdicts whose reports have changed while the daemon was away, before
// anybody asks: their containers wait until the reports have been read.
func (n *Node) forgetMissed(folder *reportsFolder) {
	change, fresh, err := folder.Missed()
	if err != nil || fresh {
		n.verdicts.ForgetAll()
		return
	}
	n.verdicts.ForgetWhere(change.Concerns)
}

// lookupTime is what asking every source may take.
func (c *Config) lookupTime() time.Duration {
	total := time.Minute
	for _, s := range c.Sources {
		total += max(s.Timeout, 10*time.Second) // the chain's default
	}
	return total
}

func (n *Node) snapshotFile() string { return filepath.Join(n.config.State, "verdicts.snapshot") }

// snapshot keeps the verdicts and, with them, which reports they came from: reports that change while
// the daemon is away are then noticed at the next start.
func (n *Node) snapshot() error {
	// A report that arrives between the two would be known and its image's old verdict kept.
	n.refreshing.Lock()
	defer n.refreshing.Unlock()
	if !n.custody.Load() {
		return nil
	}
	return n.save()
}

// save does what snapshot does. The caller holds refreshing and has custody.
func (n *Node) save() error {
	indices := make([]*reports.Index, len(n.folders))
	for i, folder := range n.folders {
		indices[i] = folder.Index()
	}
	failures := []error{n.verdicts.Save(n.snapshotFile())}
	for i, folder := range n.folders {
		failures = append(failures, indices[i].Save(folder.index))
	}
	return errors.Join(failures...)
}

func (n *Node) snapshotNowAndThen() {
	ticker := time.NewTicker(snapshotInterval)
	defer ticker.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-ticker.C:
			n.collectInTime()
			if err := n.snapshot(); err != nil {
				n.log.WithError(err).Error("state folder")
			}
		}
	}
}

// refresh brings the index of a folder of reports up to date, forgets the verdicts that may have
// changed, and looks those up again before they are needed.
func (n *Node) refresh(folder *reportsFolder) {
	n.refreshing.Lock()
	if !n.custody.Load() {
		n.refreshing.Unlock()
		return
	}
	change, err := folder.Refresh()
	var forgotten []string
	if change.Files > 0 {
		forgotten = n.verdicts.ForgetWhere(change.Concerns)
	}
	n.refreshing.Unlock()
	if err != nil {
		n.log.WithError(err).Error("reports cannot be listed; those known before are still used")
		return
	}
	for _, problem := range change.Problems {
		n.log.WithError(problem).Error("report is not used")
	}
	for _, warning := range change.Warnings {
		n.log.Warn("report: " + warning)
	}
	if change.Files == 0 {
		return
	}
	n.log.WithField("reports", change.Files).Info("reports changed")
	n.tasks.Go(func() {
		n.warm(func(image scanner.Image) bool { return slices.Contains(forgotten, image.ID) || change.Concerns(image) })
	})
}

// warm looks up those images on this node that are wanted, a few at a time, once the runtime lists
// them; and those that have got other names since they were looked up, for their verdicts are forgotten.
func (n *Node) warm(wanted func(scanner.Image) bool) {
	retry := time.NewTicker(warmRetry)
	defer retry.Stop()
	for {
		images, err := n.images.Images(n.ctx)
		if err == nil {
			renamed := n.verdicts.ForgetRenamed(images)
			n.verdicts.Warm(n.ctx, slices.DeleteFunc(images, func(i scanner.Image) bool {
				return !wanted(i) && !slices.Contains(renamed, i.ID)
			}))
			return
		}
		select {
		case <-n.ctx.Done():
			return
		case <-retry.C:
		}
	}
}

func (n *Node) reportFiles() (files, broken int) {
	for _, folder := range n.folders {
		f, b := folder.Len()
		files, broken = files+f, broken+b
	}
	return files, broken
}

// prefetch looks up an image as soon as it is seen, so that its container need not wait, and tells the
// uplink.
type prefetch struct {
	verdicts *scanner.Cache
	uplink   *uplink.Uplink // may be nil
}

// ImageSeen begins the lookup.
func (p prefetch) ImageSeen(imageID string) {
	p.verdicts.Prefetch(imageID)
	if p.uplink != nil {
		p.uplink.ImageSeen()
	}
}
