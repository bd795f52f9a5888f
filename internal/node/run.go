package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Run starts the node and keeps it going until it is told to stop, has a successor or fails. SIGHUP has
// it look at policies and reports now; SIGTERM and SIGINT stop it. It tells systemd, where there is one,
// how it does.
func (n *Node) Run(signals <-chan os.Signal) error {
	if err := n.Start(); err != nil {
		return errors.Join(err, n.Stop())
	}
	n.tell(daemon.SdNotifyReady)
	n.feedWatchdog()
	err := n.wait(signals)
	n.tell(daemon.SdNotifyStopping)
	over := make(chan struct{})
	defer close(over)
	go n.endSooner(signals, over)
	return errors.Join(err, n.Stop())
}

func (n *Node) wait(signals <-chan os.Signal) error {
	for {
		select {
		case err := <-n.Failed():
			return err
		case <-n.Succeeded():
			n.log.Info("a new portcullisd serves; this one ends with its last call")
			n.retiring = true
			return nil
		case s := <-signals:
			if s != unix.SIGHUP {
				n.log.WithField("signal", s).Info("portcullisd ends")
				return nil
			}
			n.reload()
		}
	}
}

// reload reloads the way systemd wants to hear of it.
func (n *Node) reload() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // every Linux has this clock
	n.tell(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
	n.Reload()
	n.tell(daemon.SdNotifyReady)
}

// tell sends systemd a state, and what an operator reads in systemctl status.
func (n *Node) tell(state string) {
	if _, err := daemon.SdNotify(false, state+"\nSTATUS="+n.status()); err != nil {
		n.log.WithError(err).Warn("systemd could not be told how this daemon does")
	}
}

func (n *Node) status() string {
	status := "no policies in force"
	if bundle := n.bundles.Current(); bundle != nil && bundle.Len() > 0 {
		status = fmt.Sprintf("%d policies in force, revision %s", bundle.Len(), bundle.Revision())
	}
	if !n.path.Connected() {
		status += "; the container runtime is away"
	}
	return status
}

// feedWatchdog probes the daemon some times in each of systemd's watchdog intervals, and feeds the
// watchdog when that goes well.
func (n *Node) feedWatchdog() {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.WithError(err).Warn("systemd's watchdog is not fed")
	}
	if interval == 0 || err != nil {
		return
	}
	n.tasks.Go(func() {
		every := time.NewTicker(interval / 4)
		defer every.Stop()
		for {
			select {
			case <-n.ctx.Done():
				return
			case <-every.C:
			}
			n.feed(interval / 4)
		}
	})
}

func (n *Node) feed(patience time.Duration) {
	ctx, cancel := context.WithTimeout(n.ctx, patience)
	defer cancel()
	if err := n.Probe(ctx); err != nil {
		if n.ctx.Err() == nil {
			n.log.WithError(err).Error("the daemon does not answer itself; systemd will restart it if this goes on")
		}
		return
	}
	n.tell(daemon.SdNotifyWatchdog)
}
