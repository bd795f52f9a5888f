// Package fleet answers: what do thousands of nodes do to a central?
//
// Its nodes live in one process. Each has a real uplink, with a certificate, a connection and a folder of its own;
// what a node has besides, a container runtime, policies in force and a spool, is in memory.
package fleet

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/event"
	scanner "portcullis/scanner-client"
	"portcullis/uplink"
)

// Options is what a fleet needs.
type Options struct {
	Address string // of central
	Token   string // to join with, good for all nodes
	Dir     string // where nodes have their folders
	Nodes   int
	// Images is how many images each node has, of ten times as many that there are.
	Images int
	Times  uplink.Times
}

// Fleet is nodes of one central.
type Fleet struct {
	// Arrivals are told of every bundle that a node puts in force.
	Arrivals *Arrivals
	// Log is what nodes complain about.
	Log *Complaints

	options Options
	nodes   []*node
}

// node is one machine.
type node struct {
	*uplink.Uplink
	name     string
	images   images
	policies policies
	spool    spool
}

// Join makes the nodes, and lets so many join at a time.
func Join(ctx context.Context, options Options, together int) (*Fleet, error) {
	f := &Fleet{Arrivals: newArrivals(), Log: newComplaints(), options: options}
	joining, ctx := errgroup.WithContext(ctx)
	joining.SetLimit(together)
	for i := range options.Nodes {
		n, err := f.newNode(i)
		if err != nil {
			return nil, err
		}
		f.nodes = append(f.nodes, n)
		joining.Go(func() error {
			_, err := uplink.Join(ctx, uplink.Joining{Address: options.Address, Token: options.Token, Dir: f.dir(n), Info: n.info()})
			return err
		})
	}
	return f, joining.Wait()
}

func (f *Fleet) dir(n *node) string { return filepath.Join(f.options.Dir, n.name) }

func (f *Fleet) newNode(i int) (*node, error) {
	n := &node{name: fmt.Sprintf("node-%05d", i), policies: policies{arrivals: f.Arrivals}}
	for k := range f.options.Images {
		n.images = append(n.images, image((i+k)%(10*f.options.Images)))
	}
	n.spool = spool{name: n.name, changed: make(chan struct{}, 1)}
	var err error
	n.Uplink, err = uplink.New(uplink.Options{
		Addresses: []string{f.options.Address}, Dir: f.dir(n), Info: func(context.Context) *portcullisv1.NodeInfo { return n.info() },
		Policies: &n.policies, Images: n.images, Spool: &n.spool, Times: f.options.Times, Log: f.Log.logger,
	})
	return n, err
}

func (n *node) info() *portcullisv1.NodeInfo {
	return &portcullisv1.NodeInfo{
		Name: n.name, Cluster: "fleet", Version: "bench", RuntimeVersion: "containerd 2.4.2", KernelVersion: "6.1.0", Platform: "linux/amd64",
		Addresses: []string{"10.0.0.1"},
	}
}

// Run connects all nodes, so many a second, and keeps them connected until ctx ends.
func (f *Fleet) Run(ctx context.Context, aSecond int) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	next := time.NewTicker(time.Second / time.Duration(aSecond))
	defer next.Stop()
	for _, n := range f.nodes {
		tasks.Go(func() { n.Run(ctx) })
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
	}
}

// Record gives each node so many decisions to upload, all of them events of their own: at first to so many nodes, and
// to each of the others, while wait runs, when one of them is done. It waits until central has all of them.
func (f *Fleet) Record(each, together int) (wait func(context.Context) error) {
	now := time.Now()
	records := make([]*event.Record, each)
	for i := range records {
		records[i] = record(i, now)
	}
	done := make(chan struct{}, len(f.nodes))
	fill := func(n *node) { n.spool.fill(records, func() { done <- struct{}{} }) }
	for _, n := range f.nodes[:together] {
		fill(n)
	}
	return func(ctx context.Context) error {
		left := f.nodes[together:]
		for range f.nodes {
			select {
			case <-done:
			case <-ctx.Done():
				return fmt.Errorf("%d decisions wait: %w", f.Count().Waiting, ctx.Err())
			}
			if len(left) > 0 {
				fill(left[0])
				left = left[1:]
			}
		}
		return nil
	}
}

// Count is how nodes are.
type Count struct {
	Connected int
	// InForce have the newest bundle that any node has.
	InForce int
	// Mirrored know of all their images what central knows.
	Mirrored int
	// Uploaded is decisions that central has taken.
	Uploaded int64
	// Waiting is decisions that central has not taken.
	Waiting int
}

// Count looks at all nodes.
func (f *Fleet) Count() Count {
	var c Count
	newest := f.Arrivals.Newest()
	for _, n := range f.nodes {
		stats := n.Stats()
		if stats.Connected {
			c.Connected++
		}
		if stats.Bundle == newest {
			c.InForce++
		}
		if stats.Mirrored == f.options.Images {
			c.Mirrored++
		}
		c.Uploaded += stats.Uploaded
		c.Waiting += n.spool.waiting()
	}
	return c
}

// images is a container runtime.
type images []scanner.Image

// Images lists them.
func (i images) Images(context.Context) ([]scanner.Image, error) { return i, nil }

func image(i int) scanner.Image {
	return scanner.Image{
		ID: fmt.Sprintf("sha256:%064x", i), Tags: []string{fmt.Sprintf("registry.example.com/team-%d/app-%d:1.0", i%20, i)},
		Digests: []string{fmt.Sprintf("registry.example.com/team-%d/app-%d@sha256:%064x", i%20, i, i+1_000_000)},
	}
}
