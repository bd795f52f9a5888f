package notifications

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
)

// Of RFC 5424.
const (
	facility = 13 // log audit
	warning  = 4
	notice   = 5
	// maxParam bounds one value of the structured data, in bytes before escaping, and maxSyslog a whole
	// message: every receiver takes 2 KiB.
	maxParam  = 96
	maxSyslog = 2048
)

// sendSyslog sends a message for each event, and one that counts those that are not named.
func (s *Service) sendSyslog(ctx context.Context, target *portcullisv1.Syslog, n notification) error {
	connection, err := s.dialSyslog(ctx, target)
	if err != nil {
		return err
	}
	defer connection.Close()
	deadline, _ := ctx.Deadline()
	if err := connection.SetDeadline(deadline); err != nil {
		return err
	}
	for _, message := range syslogMessages(n, s.options.Now()) {
		if target.GetProtocol() != "udp" {
			message = fmt.Sprintf("%d %s", len(message), message) // octet counting, RFC 6587 and 5425
		}
		if _, err := connection.Write([]byte(message)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) dialSyslog(ctx context.Context, target *portcullisv1.Syslog) (net.Conn, error) {
	switch target.GetProtocol() {
	case "tls":
		host, _, err := net.SplitHostPort(target.GetAddress())
		if err != nil {
			return nil, err
		}
		dialer := &tls.Dialer{NetDialer: s.dialer(), Config: &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}}
		return dialer.DialContext(ctx, "tcp", target.GetAddress())
	case "tcp":
		return s.dialer().DialContext(ctx, "tcp", target.GetAddress())
	}
	return s.dialer().DialContext(ctx, "udp", target.GetAddress())
}

func syslogMessages(n notification, now time.Time) (messages []string) {
	if n.Test {
		return []string{syslogMessage(notice, now, "test", "", "test of the channel "+n.Channel)}
	}
	for i := range n.Events {
		e := n.Events[len(n.Events)-1-i]
		severity, verb := notice, "alerted"
		if e.Action == "block" {
			severity, verb = warning, "blocked"
		}
		text := fmt.Sprintf("%s %s/%s container %s on %s, image %s: %s", verb, e.Namespace, e.Pod, e.Container, e.Node, e.Image, e.Because)
		messages = append(messages, syslogMessage(severity, e.Last, "event", syslogData(e), text))
	}
	if more := n.Total - len(n.Events); more > 0 {
		var groups []string
		for _, g := range n.Groups {
			groups = append(groups, fmt.Sprintf("%d %s by %s", g.Events, g.Action, g.Policy))
		}
		text := fmt.Sprintf("%d new events, %d of them not told one by one: %s", n.Total, more, strings.Join(groups, ", "))
		messages = append(messages, syslogMessage(notice, now, "summary", "", text))
	}
	return messages
}

// syslogData is the structured data. 32473 is the number that RFC 5612 sets aside for such names.
func syslogData(e told) string {
	var b strings.Builder
	b.WriteString("[portcullis@32473")
	for _, param := range [][2]string{
		{"id", e.ID}, {"action", e.Action}, {"policy", e.Policy}, {"template", e.Template}, {"severity", e.Severity}, {"imageID", e.ImageID},
		{"cluster", e.Cluster}, {"node", e.Node}, {"namespace", e.Namespace}, {"pod", e.Pod}, {"container", e.Container},
	} {
		if param[1] != "" {
			fmt.Fprintf(&b, ` %s="%s"`, param[0], paramEscaper.Replace(cut(param[1], maxParam)))
		}
	}
	b.WriteString("]")
	return b.String()
}

var paramEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

func syslogMessage(severity int, at time.Time, id, data, text string) string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	if data == "" {
		data = "-"
	}
	head := fmt.Sprintf("<%d>1 %s %s portcullis-central - %s %s \ufeff", facility*8+severity, at.UTC().Format("2006-01-02T15:04:05.000000Z"), host, id, data)
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
	return head + cut(text, max(0, maxSyslog-len(head)))
}

// cut shortens text to so many bytes, not within a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
