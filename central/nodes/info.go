package nodes

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

const (
	maxAddresses = 32
	maxVersion   = 128 // characters
	maxRejection = 4096
)

// nodeName is what machines and clusters may be called: what host names and Kubernetes' names are made of.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

const maxName = 253

// checkInfo says what is wrong with who a node says it is.
func checkInfo(info *portcullisv1.NodeInfo) []*portcullisv1.FieldProblem {
	var problems []*portcullisv1.FieldProblem
	if name := info.GetName(); len(name) > maxName || !nodeName.MatchString(name) {
		problems = append(problems, rpc.Problem("info.name", "is not a machine's name; write at most %d letters, digits, dots, dashes and underscores", maxName))
	}
	if cluster := info.GetCluster(); cluster != "" && (len(cluster) > maxName || !nodeName.MatchString(cluster)) {
		problems = append(problems, rpc.Problem("info.cluster", "is not a cluster's name; write at most %d letters, digits, dots, dashes and underscores, or nothing", maxName))
	}
	if n := len(info.GetAddresses()); n > maxAddresses {
		problems = append(problems, rpc.Problem("info.addresses", "are %d; at most %d are taken", n, maxAddresses))
	}
	for i, address := range info.GetAddresses()[:min(len(info.GetAddresses()), maxAddresses)] {
		if _, err := netip.ParseAddr(address); err != nil {
			problems = append(problems, rpc.Problem(indexed("info.addresses", i), "is not an IP address"))
		}
	}
	return problems
}

// statusOf takes of a node's description what is good. A version that is odd is no reason not to know the rest.
func statusOf(info *portcullisv1.NodeInfo) store.NodeStatus {
	status := store.NodeStatus{
		Version: clean(info.GetVersion(), maxVersion), RuntimeVersion: clean(info.GetRuntimeVersion(), maxVersion),
		KernelVersion: clean(info.GetKernelVersion(), maxVersion), Platform: clean(info.GetPlatform(), maxVersion),
	}
	for _, address := range info.GetAddresses() {
		if parsed, err := netip.ParseAddr(address); err == nil && len(status.Addresses) < maxAddresses {
			status.Addresses = append(status.Addresses, parsed.String())
		}
	}
	return status
}

// clean is text as one line of at most that many characters, without what terminals obey or databases refuse.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most-1]) + "…"
	}
	return text
}

func checkSearch(field, text string) []*portcullisv1.FieldProblem {
	if utf8.RuneCountInString(text) > maxSearch || strings.ContainsRune(text, 0) {
		return []*portcullisv1.FieldProblem{rpc.Problem(field, "is too long or holds a zero byte; write at most %d characters", maxSearch)}
	}
	return nil
}

func indexed(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
