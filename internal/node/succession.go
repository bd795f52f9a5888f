package node

import (
	"syscall"

	"portcullis/internal/handover"
)

// succeed ends the predecessor's time, if there is one, and waits for a successor from now on.
func (n *Node) succeed() error {
	if n.seat.predecessor != nil {
		if err := n.seat.dismiss(); err != nil {
			n.custody.Store(false)
			return err
		}
		n.log.Info("the portcullisd that ran before has handed over")
		if err := n.seat.listenForSuccessors(); err != nil {
			n.log.WithError(err).Error("no successor will be able to take over")
		}
	}
	if n.seat.private != nil {
		n.tasks.Go(func() {
			handover.Offer(n.ctx, n.seat.private, handover.Incumbent{
				Lend: n.lend, Resume: n.resume, Retire: func() { close(n.succeeded) }, Log: n.log,
			})
		})
	}
	return nil
}

// Succeeded is closed when a successor serves: what is left is to Stop.
func (n *Node) Succeeded() <-chan struct{} { return n.succeeded }

// lend gives a successor what it needs, and leaves the state folder to it: two processes that write there
// could leave verdicts of one beside the other's word that it has seen all reports. The connection to central
// ends first, because what central sends is written there, too.
func (n *Node) lend() map[string]syscall.Conn {
	if n.disconnect != nil {
		n.disconnect()
	}
	n.bundles.mu.Lock()
	defer n.bundles.mu.Unlock()
	n.refreshing.Lock()
	defer n.refreshing.Unlock()
	if err := n.save(); err != nil {
		n.log.WithError(err).Error("state folder; the new portcullisd asks for verdicts anew")
	}
	n.custody.Store(false)
	n.log.Info("a new portcullisd asks to take over")
	return n.seat.lend(n.config)
}

// resume undoes lend, and looks for what has changed meanwhile.
func (n *Node) resume() {
	n.seat.keep()
	n.custody.Store(true)
	n.Reload()
	n.connect()
}
