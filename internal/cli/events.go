package cli

import (
	"errors"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/output"
)

// eventFlags are the filters of events.
type eventFlags struct {
	filter       portcullisv1.EventFilter
	since, until moment
	orders       []portcullisv1.EventOrder
	limit        int
	follow       bool
}

func (p program) events() *cobra.Command {
	var flags eventFlags
	command := &cobra.Command{
		Use:   "events",
		Short: "What was blocked and alerted, the newest first",
		Long: `Lists events: decisions that are the same but for their time are one, with their count.

--follow shows events as they arrive or count on, until it is interrupted; with --since it lists those since then
first.`,
		Args: cobra.NoArgs,
	}
	flags.add(command)
	command.Flags().BoolVar(&flags.follow, "follow", false, "go on and show what arrives")
	command.MarkFlagsMutuallyExclusive("follow", "until")
	return p.shown(command, func(c *call, _ []string) error {
		if flags.follow {
			return c.follow(&flags)
		}
		return c.listEvents(&flags)
	})
}

func (p program) eventList(use string) *cobra.Command {
	var flags eventFlags
	command := &cobra.Command{Use: use, Aliases: []string{"event"}, Short: "What was blocked and alerted, the newest first", ValidArgsFunction: cobra.NoFileCompletions}
	flags.add(command)
	return p.shown(command, func(c *call, ids []string) error {
		if len(ids) == 0 {
			return c.listEvents(&flags)
		}
		return named(c, eventKind, ids, func(id string) (*portcullisv1.Event, error) {
			response, err := c.Events.GetEvent(c.ctx, &portcullisv1.GetEventRequest{Id: id})
			return response.GetEvent(), err
		})
	})
}

// defaultEvents is what fits a look; there may be millions.
const defaultEvents = 50

func (f *eventFlags) add(command *cobra.Command) {
	flags := command.Flags()
	for name, list := range map[string]*[]string{
		"policy": &f.filter.Policies, "template": &f.filter.Templates, "node": &f.filter.Nodes,
		"cluster": &f.filter.Clusters, "severity": &f.filter.Severities,
	} {
		flags.StringArrayVar(list, name, nil, "only of this "+name+"; may be repeated")
	}
	flags.StringArrayVarP(&f.filter.Namespaces, "namespace", "n", nil, "only of this namespace; may be repeated")
	enumFlag(command, &f.filter.Actions, "action", "only these actions")
	flags.StringVar(&f.filter.Address, "address", "", "address of the node or the pod")
	flags.StringVar(&f.filter.Image, "image", "", "part of the image's name")
	flags.StringVar(&f.filter.ImageId, "image-id", "", "ID of the image, sha256:…")
	flags.StringVar(&f.filter.Pod, "pod", "", "part of the pod's name")
	flags.StringVar(&f.filter.Container, "container", "", "part of the container's name")
	flags.StringVar(&f.filter.Finding, "finding", "", "CVE, file hash, secret rule or privileged parameter, whole")
	flags.Var(&f.since, "since", "last occurrence at or after this time: 2027-03-01T00:00:00Z, or 12h or 7d ago")
	flags.Var(&f.until, "until", "last occurrence before this time")
	enumFlag(command, &f.orders, "order", "order by")
	limitFlag(command, &f.limit, defaultEvents)
}

func (c *call) eventPages(f *eventFlags) ([]*portcullisv1.Event, error) {
	order, err := one("order", f.orders)
	if err != nil {
		return nil, err
	}
	f.filter.From, f.filter.To = f.since.at, f.until.at
	return pages(c, f.limit, bigPages, func(size int32, token string) ([]*portcullisv1.Event, string, int64, error) {
		response, err := c.Events.ListEvents(c.ctx, &portcullisv1.ListEventsRequest{Filter: &f.filter, Order: order, PageSize: size, PageToken: token})
		return response.GetEvents(), response.GetNextPageToken(), response.GetTotal(), err
	})
}

func (c *call) listEvents(f *eventFlags) error {
	items, err := c.eventPages(f)
	if err != nil {
		return err
	}
	return output.List(&c.Printer, eventKind, items, false)
}

// follow shows events until it is interrupted, which is no failure.
func (c *call) follow(f *eventFlags) error {
	ctx, stop := signal.NotifyContext(c.ctx, unix.SIGINT, unix.SIGTERM)
	defer stop()
	c.ctx = ctx
	show := output.Follow(&c.Printer, eventKind)
	// The stream begins before the list is asked for, so that nothing gets lost in between.
	stream, err := c.Events.FollowEvents(ctx, &portcullisv1.FollowEventsRequest{Filter: f.following()})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }() // it is over
	if f.since.at != nil {
		past, err := c.eventPages(f)
		if err != nil {
			return err
		}
		for i := len(past) - 1; i >= 0; i-- {
			if err := show(past[i]); err != nil {
				return err
			}
		}
	}
	for stream.Receive() {
		if err := show(stream.Msg().GetEvent()); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case stream.Err() == nil:
		return errors.New("central ended the stream, perhaps because it stops; follow again with --since")
	}
	return stream.Err()
}

// following leaves out times: what arrives is now.
func (f *eventFlags) following() *portcullisv1.EventFilter {
	return &portcullisv1.EventFilter{
		Templates: f.filter.GetTemplates(), Actions: f.filter.GetActions(), Policies: f.filter.GetPolicies(), Nodes: f.filter.GetNodes(),
		Clusters: f.filter.GetClusters(), Namespaces: f.filter.GetNamespaces(), Severities: f.filter.GetSeverities(), Address: f.filter.GetAddress(),
		Image: f.filter.GetImage(), ImageId: f.filter.GetImageId(), Pod: f.filter.GetPod(), Container: f.filter.GetContainer(), Finding: f.filter.GetFinding(),
	}
}
