package cli

import (
	"fmt"
	"strings"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/output"
)

var policyKind = output.Kind[*portcullisv1.Policy]{
	Name:     func(p *portcullisv1.Policy) string { return "imagepolicy/" + p.GetName() },
	Document: func(p *portcullisv1.Policy) string { return p.GetDocument() },
	Columns: []output.Column[*portcullisv1.Policy]{
		{Title: "NAME", Cell: func(p *portcullisv1.Policy, _ time.Time) string { return p.GetName() }},
		{Title: "TEMPLATE", Cell: func(p *portcullisv1.Policy, _ time.Time) string { return p.GetTemplate() }},
		{Title: "STATE", Cell: func(p *portcullisv1.Policy, _ time.Time) string { return output.Word(p.GetState()) }},
		{Title: "BLOCKS", Cell: blocks, Wide: true},
		{Title: "BLOCKED", Cell: func(p *portcullisv1.Policy, _ time.Time) string { return fmt.Sprint(p.GetBlocked()) }},
		{Title: "ALERTED", Cell: func(p *portcullisv1.Policy, _ time.Time) string { return fmt.Sprint(p.GetAlerted()) }},
		{Title: "REVISION", Cell: func(p *portcullisv1.Policy, _ time.Time) string { return fmt.Sprint(p.GetRevision()) }},
		{Title: "AGE", Cell: func(p *portcullisv1.Policy, now time.Time) string { return output.Age(p.GetCreateTime(), now) }},
		{Title: "CHANGED", Cell: func(p *portcullisv1.Policy, now time.Time) string { return output.Age(p.GetUpdateTime(), now) }, Wide: true},
		{Title: "BY", Cell: func(p *portcullisv1.Policy, _ time.Time) string { return output.Or(p.GetUpdatedBy()) }, Wide: true},
	},
}

// blocks says when a policy blocks.
func blocks(p *portcullisv1.Policy, now time.Time) string {
	switch p.GetState() {
	case portcullisv1.PolicyState_POLICY_STATE_BLOCKING:
		return "now"
	case portcullisv1.PolicyState_POLICY_STATE_OBSERVING:
		return output.Age(p.GetEnforceAt(), now)
	}
	return "never"
}

var exemptionKind = output.Kind[*portcullisv1.Exemption]{
	Name:     func(e *portcullisv1.Exemption) string { return "exemption/" + e.GetName() },
	Document: func(e *portcullisv1.Exemption) string { return e.GetDocument() },
	Columns: []output.Column[*portcullisv1.Exemption]{
		{Title: "NAME", Cell: func(e *portcullisv1.Exemption, _ time.Time) string { return e.GetName() }},
		{Title: "STATE", Cell: func(e *portcullisv1.Exemption, _ time.Time) string { return exemptionState(e) }},
		{Title: "EXPIRES", Cell: func(e *portcullisv1.Exemption, now time.Time) string { return output.Age(e.GetExpireTime(), now) }},
		{Title: "AUTHOR", Cell: func(e *portcullisv1.Exemption, _ time.Time) string { return output.Or(e.GetAuthor()) }},
		{Title: "REVISION", Cell: func(e *portcullisv1.Exemption, _ time.Time) string { return fmt.Sprint(e.GetRevision()) }},
		{Title: "AGE", Cell: func(e *portcullisv1.Exemption, now time.Time) string { return output.Age(e.GetCreateTime(), now) }},
		{Title: "REASON", Cell: func(e *portcullisv1.Exemption, _ time.Time) string { return output.Or(e.GetReason()) }, Wide: true},
	},
}

func exemptionState(e *portcullisv1.Exemption) string {
	if e.GetExpired() {
		return "expired"
	}
	return "in-force"
}

var nodeKind = output.Kind[*portcullisv1.Node]{
	Name: func(n *portcullisv1.Node) string { return "node/" + n.GetName() },
	Columns: []output.Column[*portcullisv1.Node]{
		{Title: "NAME", Cell: func(n *portcullisv1.Node, _ time.Time) string { return n.GetName() }},
		{Title: "CLUSTER", Cell: func(n *portcullisv1.Node, _ time.Time) string { return output.Or(n.GetCluster()) }},
		{Title: "STATE", Cell: func(n *portcullisv1.Node, _ time.Time) string { return output.Word(n.GetState()) }},
		{Title: "BUNDLE", Cell: func(n *portcullisv1.Node, _ time.Time) string { return bundle(n) }},
		{Title: "CONTACT", Cell: func(n *portcullisv1.Node, now time.Time) string { return output.Age(n.GetLastContactTime(), now) }},
		{Title: "IMAGES", Cell: func(n *portcullisv1.Node, _ time.Time) string { return fmt.Sprint(n.GetImageCount()) }},
		{Title: "VERSION", Cell: func(n *portcullisv1.Node, _ time.Time) string { return output.Or(n.GetVersion()) }},
		{Title: "AGE", Cell: func(n *portcullisv1.Node, now time.Time) string { return output.Age(n.GetJoinTime(), now) }},
		{Title: "ID", Cell: func(n *portcullisv1.Node, _ time.Time) string { return n.GetId() }, Wide: true},
		{Title: "ADDRESSES", Cell: func(n *portcullisv1.Node, _ time.Time) string { return output.Some(n.GetAddresses(), 0) }, Wide: true},
		{Title: "RUNTIME", Cell: func(n *portcullisv1.Node, _ time.Time) string { return output.Or(n.GetRuntimeVersion()) }, Wide: true},
		{Title: "KERNEL", Cell: func(n *portcullisv1.Node, _ time.Time) string { return output.Or(n.GetKernelVersion()) }, Wide: true},
	},
}

func bundle(n *portcullisv1.Node) string {
	if n.GetBundle() == n.GetNewestBundle() {
		return fmt.Sprint(n.GetBundle())
	}
	return fmt.Sprintf("%d of %d", n.GetBundle(), n.GetNewestBundle())
}

var imageKind = output.Kind[*portcullisv1.Image]{
	Name: func(i *portcullisv1.Image) string { return "image/" + i.GetId() },
	Columns: []output.Column[*portcullisv1.Image]{
		{Title: "IMAGE", Cell: func(i *portcullisv1.Image, _ time.Time) string { return imageName(i) }},
		{Title: "ID", Cell: func(i *portcullisv1.Image, _ time.Time) string { return shortID(i.GetId()) }},
		{Title: "SCAN", Cell: func(i *portcullisv1.Image, _ time.Time) string { return output.Word(i.GetScanState()) }},
		{Title: "WORST", Cell: func(i *portcullisv1.Image, _ time.Time) string { return output.Or(i.GetWorstSeverity()) }},
		{Title: "VULNERABILITIES", Cell: func(i *portcullisv1.Image, _ time.Time) string { return fmt.Sprint(i.GetVulnerabilities()) }},
		{Title: "MALWARE", Cell: func(i *portcullisv1.Image, _ time.Time) string { return fmt.Sprint(i.GetMalware()) }},
		{Title: "SECRETS", Cell: func(i *portcullisv1.Image, _ time.Time) string { return fmt.Sprint(i.GetSecrets()) }},
		{Title: "NODES", Cell: func(i *portcullisv1.Image, _ time.Time) string { return fmt.Sprint(i.GetNodeCount()) }},
		{Title: "SCANNED", Cell: func(i *portcullisv1.Image, now time.Time) string { return output.Age(i.GetScanTime(), now) }, Wide: true},
		{Title: "SCANNER", Cell: func(i *portcullisv1.Image, _ time.Time) string { return output.Or(i.GetScanner()) }, Wide: true},
		{Title: "ON", Cell: func(i *portcullisv1.Image, _ time.Time) string {
			return output.Some(i.GetNodes(), int(i.GetNodeCount()))
		}, Wide: true},
	},
}

// imageName is what people know an image by.
func imageName(i *portcullisv1.Image) string { return firstOr(i.GetTags(), i.GetDigests()) }

// firstOr is the first name of all lists.
func firstOr(lists ...[]string) string {
	for _, names := range lists {
		if len(names) > 0 {
			return names[0]
		}
	}
	return output.Or("")
}

// counted is such as "1 node" and "2 nodes".
func counted(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func shortID(id string) string {
	digits := strings.TrimPrefix(id, "sha256:")
	return digits[:min(12, len(digits))]
}

var eventKind = output.Kind[*portcullisv1.Event]{
	Name: func(e *portcullisv1.Event) string { return "event/" + e.GetId() },
	Columns: []output.Column[*portcullisv1.Event]{
		{Title: "LAST", Cell: func(e *portcullisv1.Event, now time.Time) string { return output.Age(e.GetLastTime(), now) }},
		{Title: "ACTION", Cell: func(e *portcullisv1.Event, _ time.Time) string { return output.Word(e.GetAction()) }},
		{Title: "COUNT", Cell: func(e *portcullisv1.Event, _ time.Time) string { return fmt.Sprint(e.GetCount()) }},
		{Title: "POLICY", Cell: func(e *portcullisv1.Event, _ time.Time) string { return policyOrReason(e) }},
		{Title: "POD", Cell: func(e *portcullisv1.Event, _ time.Time) string { return e.GetNamespace() + "/" + e.GetPod() }},
		{Title: "CONTAINER", Cell: func(e *portcullisv1.Event, _ time.Time) string { return output.Or(e.GetContainer()) }},
		{Title: "NODE", Cell: func(e *portcullisv1.Event, _ time.Time) string { return e.GetNode() }},
		{Title: "IMAGE", Cell: func(e *portcullisv1.Event, _ time.Time) string { return output.Or(e.GetImage()) }},
		{Title: "ID", Cell: func(e *portcullisv1.Event, _ time.Time) string { return e.GetId() }, Wide: true},
		{Title: "SEVERITY", Cell: func(e *portcullisv1.Event, _ time.Time) string { return output.Or(e.GetSeverity()) }, Wide: true},
		{Title: "FIRST", Cell: func(e *portcullisv1.Event, now time.Time) string { return output.Age(e.GetFirstTime(), now) }, Wide: true},
		{Title: "BECAUSE", Cell: func(e *portcullisv1.Event, _ time.Time) string { return output.Or(e.GetBecause()) }, Wide: true},
	},
}

func policyOrReason(e *portcullisv1.Event) string {
	if e.GetPolicy() != "" {
		return e.GetPolicy()
	}
	return "(" + e.GetReason() + ")"
}

var userKind = output.Kind[*portcullisv1.User]{
	Name: func(u *portcullisv1.User) string { return "user/" + u.GetName() },
	Columns: []output.Column[*portcullisv1.User]{
		{Title: "NAME", Cell: func(u *portcullisv1.User, _ time.Time) string { return u.GetName() }},
		{Title: "ROLE", Cell: func(u *portcullisv1.User, _ time.Time) string { return output.Word(u.GetRole()) }},
		{Title: "LOGIN", Cell: func(u *portcullisv1.User, _ time.Time) string { return loginBy(u) }},
		{Title: "STATE", Cell: func(u *portcullisv1.User, _ time.Time) string { return userState(u) }},
		{Title: "LAST-LOGIN", Cell: func(u *portcullisv1.User, now time.Time) string { return output.Age(u.GetLastLoginTime(), now) }},
		{Title: "AGE", Cell: func(u *portcullisv1.User, now time.Time) string { return output.Age(u.GetCreateTime(), now) }},
	},
}

func loginBy(u *portcullisv1.User) string {
	if u.GetExternal() {
		return "oidc"
	}
	return "password"
}

func userState(u *portcullisv1.User) string {
	switch {
	case u.GetDisabled():
		return "disabled"
	case u.GetMustChangePassword():
		return "new-password"
	}
	return "enabled"
}

var tokenKind = output.Kind[*portcullisv1.Token]{
	Name: func(t *portcullisv1.Token) string { return "token/" + t.GetId() },
	Columns: []output.Column[*portcullisv1.Token]{
		{Title: "ID", Cell: func(t *portcullisv1.Token, _ time.Time) string { return t.GetId() }},
		{Title: "DESCRIPTION", Cell: func(t *portcullisv1.Token, _ time.Time) string { return t.GetDescription() }},
		{Title: "USER", Cell: func(t *portcullisv1.Token, _ time.Time) string { return t.GetUser() }},
		{Title: "ROLE", Cell: func(t *portcullisv1.Token, _ time.Time) string { return output.Word(t.GetRole()) }},
		{Title: "EXPIRES", Cell: func(t *portcullisv1.Token, now time.Time) string { return output.Age(t.GetExpireTime(), now) }},
		{Title: "LAST-USE", Cell: func(t *portcullisv1.Token, now time.Time) string { return output.Age(t.GetLastUseTime(), now) }},
		{Title: "AGE", Cell: func(t *portcullisv1.Token, now time.Time) string { return output.Age(t.GetCreateTime(), now) }},
	},
}

var joinTokenKind = output.Kind[*portcullisv1.JoinToken]{
	Name: func(t *portcullisv1.JoinToken) string { return "join-token/" + t.GetId() },
	Columns: []output.Column[*portcullisv1.JoinToken]{
		{Title: "ID", Cell: func(t *portcullisv1.JoinToken, _ time.Time) string { return t.GetId() }},
		{Title: "DESCRIPTION", Cell: func(t *portcullisv1.JoinToken, _ time.Time) string { return output.Or(t.GetDescription()) }},
		{Title: "USES-LEFT", Cell: func(t *portcullisv1.JoinToken, _ time.Time) string { return fmt.Sprint(t.GetUsesLeft()) }},
		{Title: "EXPIRES", Cell: func(t *portcullisv1.JoinToken, now time.Time) string { return output.Age(t.GetExpireTime(), now) }},
		{Title: "BY", Cell: func(t *portcullisv1.JoinToken, _ time.Time) string { return output.Or(t.GetCreatedBy()) }},
		{Title: "AGE", Cell: func(t *portcullisv1.JoinToken, now time.Time) string { return output.Age(t.GetCreateTime(), now) }},
	},
}

var auditKind = output.Kind[*portcullisv1.AuditEntry]{
	Name: func(e *portcullisv1.AuditEntry) string { return "audit/" + e.GetId() },
	Columns: []output.Column[*portcullisv1.AuditEntry]{
		{Title: "TIME", Cell: func(e *portcullisv1.AuditEntry, _ time.Time) string { return e.GetTime().AsTime().Format(time.RFC3339) }},
		{Title: "ACTOR", Cell: func(e *portcullisv1.AuditEntry, _ time.Time) string { return e.GetActor() }},
		{Title: "DID", Cell: func(e *portcullisv1.AuditEntry, _ time.Time) string { return e.GetMethod() }},
		{Title: "KIND", Cell: func(e *portcullisv1.AuditEntry, _ time.Time) string { return e.GetKind() }},
		{Title: "NAME", Cell: func(e *portcullisv1.AuditEntry, _ time.Time) string { return output.Or(e.GetName()) }},
		{Title: "FROM", Cell: func(e *portcullisv1.AuditEntry, _ time.Time) string { return output.Or(e.GetAddress()) }, Wide: true},
		{Title: "ID", Cell: func(e *portcullisv1.AuditEntry, _ time.Time) string { return e.GetId() }, Wide: true},
	},
}
