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
	// poll is how often to look while the path cannot be watched: it does not exist yet, or the
	// machine is out of inotify instances, which is common on busy nodes.
	poll = 500 * time.Millisecond
	// safety is how often to look although nothing was reported: the kernel drops reports when its
	// queue is full, and does not report what changes behind a link.
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
		follow(ctx, watcher, log, func() bool {
			changed()
			now, err := os.Stat(path)
			return err == nil && now.IsDir() == watched.IsDir() && (!now.IsDir() || os.SameFile(now, watched))
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

// follow calls look after every change and now and then without one. It returns when the watch is of
// no more use: ctx ended, it failed, or look says that the path is not what is watched any more.
func follow(ctx context.Context, watcher *fsnotify.Watcher, log logrus.FieldLogger, look func() bool) {
	next := time.NewTimer(safety)
	defer next.Stop()
	var first time.Time // of the changes that wait for look; zero when none does
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
			if !look() || len(watcher.WatchList()) == 0 {
				return
			}
			next.Reset(safety)
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
