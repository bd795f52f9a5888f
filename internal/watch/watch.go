// Package watch answers: when did something in this file or folder change?
package watch

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/sirupsen/logrus"
)

const (
	// settle is how long after a change further ones are waited for: editors and ConfigMap updates
	// make several.
	settle = 100 * time.Millisecond
	// patience bounds that wait: a file that is written all the time must not put off the others.
	patience = 400 * time.Millisecond
	// poll is how often to look while the path cannot be watched (it does not exist yet, or the machine
	// is out of inotify instances, which is common on busy nodes), and whether the path still is what
	// is watched: a link on the way to it may have changed.
	poll = 500 * time.Millisecond
	// safety is how often to look although nothing was reported: the kernel drops reports when its
	// queue is full, and does not report what changes behind a link in the folder.
	safety = 30 * time.Second
)

// Run calls changed after every change in the file or folder at path, and now and then without one,
// until ctx ends. changed must therefore be cheap when nothing is new.
func Run(ctx context.Context, path string, log logrus.FieldLogger, changed func()) {
	for ctx.Err() == nil {
		watched, watcher, err := open(path)
		if err != nil {
			log.WithError(err).WithField("path", path).Debug("cannot be watched, is polled")
			changed()
			sleep(ctx, poll)
			continue
		}
		changed() // what changed before the watch was set
		follow(ctx, watcher, log, changed, func() bool {
			now, err := os.Stat(path)
			return err == nil && os.SameFile(now, watched)
		})
		watcher.Close()
	}
}

// open watches the folder at path or, for a file, the folder it is in: files are replaced, not
// rewritten, and a watch on a file ends with it.
func open(path string) (os.FileInfo, *fsnotify.Watcher, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() {
		path = filepath.Dir(path)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, nil, err
	}
	if err := watcher.Add(path); err != nil {
		watcher.Close()
		return nil, nil, err
	}
	return info, watcher, nil
}

// follow calls changed after every change and now and then without one. It returns when the watch is of
// no more use: ctx ended, it failed, or the path is not the same any more.
func follow(ctx context.Context, watcher *fsnotify.Watcher, log logrus.FieldLogger, changed func(), same func() bool) {
	next := time.NewTimer(safety)
	defer next.Stop()
	identity := time.NewTicker(poll)
	defer identity.Stop()
	var first time.Time // of the changes that wait to be told; zero when none does
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-watcher.Errors:
			log.WithError(err).Debug("watch broke, is set again")
			return
		case <-watcher.Events:
			if first.IsZero() {
				first = time.Now()
			}
			next.Reset(min(settle, patience-time.Since(first)))
		case <-next.C:
			first = time.Time{}
			changed()
			next.Reset(safety)
		case <-identity.C:
			if first.IsZero() && (len(watcher.WatchList()) == 0 || !same()) {
				return
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
