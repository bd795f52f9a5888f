package notifications

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a container without zone files knows them, too
	"unicode"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/scanner-client/verdict"
)

const (
	maxName   = 128  // characters
	maxURL    = 2048 // bytes
	minSecret = 16   // bytes
	maxSecret = 256
	maxZone   = 64
)

// checks gathers mistakes.
type checks struct{ problems []*portcullisv1.FieldProblem }

func (c *checks) expect(ok bool, field, format string, args ...any) {
	if !ok {
		c.problems = append(c.problems, rpc.Problem("channel."+field, format, args...))
	}
}

func (s *Service) validate(channel *portcullisv1.Channel) error {
	c := &checks{}
	n := len([]rune(channel.GetName()))
	c.expect(n >= 1 && n <= maxName, "name", "has %d characters; write 1 to %d", n, maxName)
	c.expect(!strings.ContainsFunc(channel.GetName(), func(r rune) bool { return !unicode.IsPrint(r) }), "name", "holds a character that cannot be seen")
	switch target := channel.GetTarget().(type) {
	case *portcullisv1.Channel_Webhook:
		s.validateWebhook(c, target.Webhook)
	case *portcullisv1.Channel_Syslog:
		validateSyslog(c, target.Syslog)
	default:
		c.expect(false, "target", "is missing; set webhook or syslog")
	}
	for i, a := range channel.GetActions() {
		c.expect(a == portcullisv1.Action_ACTION_ALERT || a == portcullisv1.Action_ACTION_BLOCK, fmt.Sprintf("actions[%d]", i), "%d is not an action; write ACTION_ALERT or ACTION_BLOCK", a)
	}
	severity := channel.GetMinSeverity()
	c.expect(severity == "" || slices.Contains(verdict.SeverityNames(), severity), "min_severity", "%.40q is not known; write one of %s, or leave it empty", severity, strings.Join(verdict.SeverityNames(), ", "))
	validateWindow(c, channel)
	if c.problems != nil {
		return rpc.Invalid(c.problems...)
	}
	return nil
}

func (s *Service) validateWebhook(c *checks, hook *portcullisv1.Webhook) {
	address, err := url.Parse(hook.GetUrl())
	good := err == nil && address.Hostname() != "" && len(hook.GetUrl()) <= maxURL
	c.expect(good, "webhook.url", "is not a URL of at most %d bytes; write such as https://example.com/hook", maxURL)
	if good {
		c.expect(address.Scheme == "https" || address.Scheme == "http" && s.options.AllowLocal, "webhook.url", "begins with %.20q; write https://", address.Scheme)
		c.expect(address.User == nil, "webhook.url", "holds a user or password, which would be shown; set secret instead")
	}
	n := len(hook.GetSecret())
	c.expect(n == 0 || n >= minSecret && n <= maxSecret, "webhook.secret", "has %d bytes; set %d to %d, or none to keep what is set", n, minSecret, maxSecret)
	c.expect(!strings.ContainsRune(hook.GetSecret(), 0), "webhook.secret", "holds a zero byte")
}

func validateSyslog(c *checks, syslog *portcullisv1.Syslog) {
	host, port, err := net.SplitHostPort(syslog.GetAddress())
	number, notNumber := strconv.ParseUint(port, 10, 16)
	c.expect(err == nil && host != "" && len(host) <= 253 && notNumber == nil && number > 0, "syslog.address", "%.300q is not an address; write host:port, such as syslog.example.com:6514", syslog.GetAddress())
	c.expect(slices.Contains([]string{"udp", "tcp", "tls"}, syslog.GetProtocol()), "syslog.protocol", "%.20q is not known; write udp, tcp or tls", syslog.GetProtocol())
}

func validateWindow(c *checks, channel *portcullisv1.Channel) {
	for field, text := range map[string]string{"window_from": channel.GetWindowFrom(), "window_to": channel.GetWindowTo()} {
		_, err := minutes(text)
		c.expect(text == "" || err == nil, field, "%.20q is not a time of day; write such as 08:00", text)
	}
	c.expect((channel.GetWindowFrom() == "") == (channel.GetWindowTo() == ""), "window_to", "and window_from are needed together; leave both empty for the whole day")
	_, err := time.LoadLocation(channel.GetTimeZone())
	good := err == nil && len(channel.GetTimeZone()) <= maxZone && channel.GetTimeZone() != "Local"
	c.expect(good, "time_zone", "%.64q is not known; write such as Asia/Shanghai, or leave it empty for UTC", channel.GetTimeZone())
}

// severityRank is the number that the store knows a severity by: 0 is none.
func severityRank(name string) int {
	severity, err := verdict.ParseSeverity(name)
	if err != nil {
		return 0
	}
	return int(severity) + 1
}
