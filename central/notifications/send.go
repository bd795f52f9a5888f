package notifications

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
)

// maxTold is how many events a notification names; of the others it says how many there are.
const maxTold = 20

// notification is what a channel is told. Its JSON form is a webhook's body.
type notification struct {
	ID      string  `json:"id"` // the same when it is sent again
	Channel string  `json:"channel"`
	Test    bool    `json:"test,omitempty"`
	Total   int     `json:"total"`  // new events
	Groups  []group `json:"groups"` // by policy and action, at most 20
	Events  []told  `json:"events"` // the newest, at most 20
}

type group struct {
	Policy string `json:"policy"`
	Action string `json:"action"`
	Events int    `json:"events"`
}

// told is one event.
type told struct {
	ID        string    `json:"id"`
	Action    string    `json:"action"`
	Template  string    `json:"template"`
	Policy    string    `json:"policy"`
	Reason    string    `json:"reason"`
	Because   string    `json:"because"`
	Severity  string    `json:"severity,omitempty"`
	Image     string    `json:"image"`
	ImageID   string    `json:"imageID"`
	Cluster   string    `json:"cluster,omitempty"`
	Node      string    `json:"node"`
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	Container string    `json:"container"`
	First     time.Time `json:"firstTime"`
	Last      time.Time `json:"lastTime"`
	Count     int64     `json:"count"`
}

func newNotification(d store.Delivery) (notification, error) {
	n := notification{ID: d.ID, Total: d.Total}
	for _, g := range d.Groups {
		n.Groups = append(n.Groups, group{g.Policy, actionName(g.Action), g.Events})
	}
	for _, e := range d.Events {
		common := &portcullisv1.Event{}
		if err := proto.Unmarshal(e.Evidence, common); err != nil {
			return n, fmt.Errorf("event %s: %w", e.ID, err)
		}
		n.Events = append(n.Events, told{
			ID: e.ID, Action: actionName(e.Action), Template: e.Template, Policy: e.Policy, Reason: common.GetReason(), Because: common.GetBecause(), Severity: common.GetSeverity(),
			Image: e.Image, ImageID: e.ImageID, Cluster: e.Node.Cluster, Node: e.Node.Name, Namespace: e.Namespace, Pod: e.Pod, Container: e.Container,
			First: e.First, Last: e.Last, Count: e.Count,
		})
	}
	return n, nil
}

func actionName(action int) string {
	if action == int(portcullisv1.Action_ACTION_BLOCK) {
		return "block"
	}
	return "alert"
}

// send tells the channel. The error is safe to be shown: it does not hold the URL, which may be secret.
func (s *Service) send(ctx context.Context, c store.Channel, n notification) error {
	settings, err := channel(c)
	if err != nil {
		return err
	}
	n.Channel = c.Name
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	if hook := settings.GetWebhook(); hook != nil {
		err = s.sendWebhook(ctx, hook.GetUrl(), c.Secret, n)
	} else {
		err = s.sendSyslog(ctx, settings.GetSyslog(), n)
	}
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", s.options.Timeout)
	}
	return err
}

// dialer reaches what channels may reach. It looks at the very address that is connected to, because a
// name may mean another one each time it is looked up.
func (s *Service) dialer() *net.Dialer {
	return &net.Dialer{Timeout: s.options.Timeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !s.options.AllowLocal && isLocal(at.Addr()) {
			return fmt.Errorf("%s is an address of this machine or its link, which channels may not reach; see notifications.allowLocal", at.Addr())
		}
		return nil
	}}
}

var (
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// metadata is where clouds tell a machine its credentials; otherwise that is link-local.
	metadata = []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"),   // AWS
		netip.MustParseAddr("fd20:ce::254"),    // Google
		netip.MustParseAddr("100.100.100.200"), // Alibaba
	}
)

// isLocal tells addresses at which services trust whoever reaches them.
func isLocal(at netip.Addr) bool {
	at = at.Unmap().WithZone("")
	if nat64.Contains(at) {
		last := at.As16()
		at = netip.AddrFrom4([4]byte(last[12:]))
	}
	return at.IsLoopback() || at.IsLinkLocalUnicast() || at.IsMulticast() || at.IsUnspecified() || slices.Contains(metadata, at) ||
		at.Is4() && (at.As4()[0] == 0 || at == netip.AddrFrom4([4]byte{255, 255, 255, 255}))
}
