package watch_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"portcullis/internal/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// follow watches path until the test ends and returns how often it was told of a change.
func follow(t *testing.T, path string) *atomic.Int32 {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var told atomic.Int32
	var running sync.WaitGroup
	log, _ := test.NewNullLogger()
	running.Go(func() { watch.Run(ctx, path, log, func() { told.Add(1) }) })
	t.Cleanup(func() { cancel(); running.Wait() })
	require.Eventually(t, func() bool { return told.Load() > 0 }, 5*time.Second, time.Millisecond)
	return &told
}

func toldAfter(t *testing.T, told *atomic.Int32, change func()) {
	t.Helper()
	before := told.Load()
	change()
	require.Eventually(t, func() bool { return told.Load() > before }, 5*time.Second, time.Millisecond)
}

func write(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
}

func TestFilesComeChangeAndGo(t *testing.T) {
	dir := t.TempDir()
	told := follow(t, dir)
	file := filepath.Join(dir, "a")
	toldAfter(t, told, func() { write(t, file) })
	toldAfter(t, told, func() { write(t, file) })
	toldAfter(t, told, func() { require.NoError(t, os.Rename(file, file+"b")) })
	toldAfter(t, told, func() { require.NoError(t, os.Remove(file+"b")) })
}

func TestAWatchedFileIsReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a")
	write(t, file)
	told := follow(t, file)
	for range 2 {
		toldAfter(t, told, func() {
			write(t, file+".new")
			require.NoError(t, os.Rename(file+".new", file))
		})
	}
}

func TestAFolderThatComesLaterOrComesBackIsWatched(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	told := follow(t, dir)
	for range 2 {
		toldAfter(t, told, func() { require.NoError(t, os.Mkdir(dir, 0o700)) })
		toldAfter(t, told, func() { write(t, filepath.Join(dir, "a")) })
		toldAfter(t, told, func() { require.NoError(t, os.RemoveAll(dir)) })
	}
	// Replaced in one step: the watch on the old folder must not outlive it.
	require.NoError(t, os.Mkdir(dir, 0o700))
	toldAfter(t, told, func() { write(t, filepath.Join(dir, "a")) })
	toldAfter(t, told, func() { require.NoError(t, os.Rename(dir, dir+".old")) })
	require.NoError(t, os.Mkdir(dir, 0o700))
	toldAfter(t, told, func() { write(t, filepath.Join(dir, "b")) })
}

func TestALinkOnTheWayToTheFolderIsChanged(t *testing.T) {
	dir := t.TempDir()
	for _, release := range []string{"v1", "v2"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, release, "policies"), 0o700))
	}
	require.NoError(t, os.Symlink("v1", filepath.Join(dir, "current")))
	told := follow(t, filepath.Join(dir, "current", "policies"))
	toldAfter(t, told, func() {
		require.NoError(t, os.Symlink("v2", filepath.Join(dir, "new")))
		require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "current")))
	})
	toldAfter(t, told, func() { write(t, filepath.Join(dir, "v2", "policies", "a")) })
}

func TestAConfigMapUpdateIsSeen(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"..v1", "..v2"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "a.yaml"))
	}
	require.NoError(t, os.Symlink("..v1", filepath.Join(dir, "..data")))
	require.NoError(t, os.Symlink("..data/a.yaml", filepath.Join(dir, "a.yaml")))
	for _, path := range []string{dir, filepath.Join(dir, "a.yaml")} {
		told := follow(t, path)
		toldAfter(t, told, func() {
			require.NoError(t, os.Symlink("..v2", filepath.Join(dir, "..new")))
			require.NoError(t, os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
		})
	}
}

func TestAFileWrittenAllTheTimeDoesNotPutOffTheOthers(t *testing.T) {
	dir := t.TempDir()
	told := follow(t, dir)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				write(t, filepath.Join(dir, "busy"))
			}
		}
	})
	before := told.Load()
	require.Eventually(t, func() bool { return told.Load() > before }, 5*time.Second, 10*time.Millisecond)
	close(stop)
	writing.Wait()
}
