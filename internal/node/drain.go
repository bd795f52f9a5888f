package node

import (
	"context"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"portcullis/internal/fdstore"
)

// retirement is how long calls may take to end that a node with a successor still has. Nobody waits for
// it, and a runtime may take that long to pull an image.
const retirement = 10 * time.Minute

// drain lets calls under way end before the data path is closed.
func (n *Node) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), n.config.Timeouts.Drain)
	if n.retiring {
		cancel()
		ctx, cancel = context.WithTimeout(n.patient, retirement)
	}
	defer cancel()
	n.path.Stop(ctx)
	return nil
}

// endSooner has a node that waits for its last calls, because it has a successor, end at once when it is
// told to stop. It returns when over is closed.
func (n *Node) endSooner(signals <-chan os.Signal, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		case s := <-signals:
			if s != unix.SIGHUP {
				n.hurry()
			}
		}
	}
}

// leave has systemd keep a connection on which the runtime executes calls, until the next process takes
// it back. Without systemd they are cancelled.
func (n *Node) leave(runtime net.Conn) {
	defer runtime.Close()
	if err := fdstore.Store(runtime.(syscall.Conn)); err != nil {
		n.log.WithError(err).Warn("calls that the runtime is executing are cancelled")
		return
	}
	n.log.Info("calls that the runtime is executing go on; systemd keeps their connection")
}

// hold keeps the connections that processes before this one have left.
func (n *Node) hold(stored []*os.File) {
	for _, file := range stored {
		n.tasks.Go(func() {
			if err := fdstore.Hold(n.ctx, file); err != nil {
				n.log.WithError(err).Warn("a connection that systemd has kept over a restart")
			}
		})
	}
	n.onStop(func() error { n.cancel(); n.tasks.Wait(); return nil })
}
