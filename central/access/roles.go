// Package access answers: who is calling, and may they?
//
// Every RPC has its line in the table of rules; what has none is refused. Guard asks before the
// request's body is read, so that a stranger cannot make central read much.
package access

import (
	"slices"

	api "portcullis/api/portcullis/v1/portcullisv1connect"
)

// Role is what a person may do; a greater one may do all that a smaller one may.
type Role int

// The roles. No role may do nothing.
const (
	NoRole Role = iota
	Viewer
	Editor
	Admin
)

var roleNames = []string{"", "viewer", "editor", "admin"}

func (r Role) String() string { return roleNames[r] }

// ParseRole returns NoRole for a name that is not one.
func ParseRole(name string) Role { return Role(max(0, slices.Index(roleNames, name))) }

// Rule says who may call.
type Rule struct {
	anyone bool
	node   bool
	least  Role
	// session leaves out API tokens: who finds one must not become able to stay.
	session bool
	// pending lets in who has to choose a new password first, or a node that has to renew its certificate.
	pending bool
}

// The rules there are.
var (
	anyone    = Rule{anyone: true}
	byNode    = Rule{node: true}
	renewal   = Rule{node: true, pending: true}
	byViewer  = Rule{least: Viewer}
	byEditor  = Rule{least: Editor}
	byAdmin   = Rule{least: Admin}
	whoAmI    = Rule{least: Viewer, pending: true}
	inSession = Rule{least: Viewer, session: true}
	// An API token that could make users, or set their passwords, would outlive itself.
	adminInSession = Rule{least: Admin, session: true}
	ownLogin       = Rule{least: Viewer, session: true, pending: true}
)

var rules = map[string]Rule{
	api.SessionServiceGetLoginOptionsProcedure: anyone,
	api.SessionServiceLoginProcedure:           anyone,
	api.SessionServiceLogoutProcedure:          ownLogin,
	api.SessionServiceGetSessionProcedure:      whoAmI,
	api.SessionServiceChangePasswordProcedure:  ownLogin,
	api.SessionServiceCreateTokenProcedure:     inSession,
	api.SessionServiceListTokensProcedure:      byViewer,
	api.SessionServiceDeleteTokenProcedure:     byViewer,

	api.UserServiceCreateUserProcedure:        adminInSession,
	api.UserServiceUpdateUserProcedure:        adminInSession,
	api.UserServiceDeleteUserProcedure:        adminInSession,
	api.UserServiceListUsersProcedure:         byAdmin,
	api.AuditServiceListAuditEntriesProcedure: byAdmin,

	api.PolicyServiceCreatePolicyProcedure:        byEditor,
	api.PolicyServiceUpdatePolicyProcedure:        byEditor,
	api.PolicyServiceSetPolicyEnabledProcedure:    byEditor,
	api.PolicyServiceDeletePolicyProcedure:        byEditor,
	api.PolicyServiceGetPolicyProcedure:           byViewer,
	api.PolicyServiceListPoliciesProcedure:        byViewer,
	api.PolicyServiceListPolicyRevisionsProcedure: byViewer,
	api.PolicyServiceGetPolicyOverviewProcedure:   byViewer,
	api.PolicyServiceCreateExemptionProcedure:     byEditor,
	api.PolicyServiceUpdateExemptionProcedure:     byEditor,
	api.PolicyServiceDeleteExemptionProcedure:     byEditor,
	api.PolicyServiceGetExemptionProcedure:        byViewer,
	api.PolicyServiceListExemptionsProcedure:      byViewer,
	api.PolicyServiceExportDocumentsProcedure:     byViewer,
	api.PolicyServiceApplyDocumentsProcedure:      byEditor,
	api.PolicyServicePreviewPolicyProcedure:       byViewer,

	api.ImageServiceListImagesProcedure:       byViewer,
	api.ImageServiceGetImageProcedure:         byViewer,
	api.ImageServiceGetImageOverviewProcedure: byViewer,
	api.ImageServiceDeleteReportProcedure:     byEditor,

	api.EventServiceListEventsProcedure:       byViewer,
	api.EventServiceGetEventProcedure:         byViewer,
	api.EventServiceGetEventOverviewProcedure: byViewer,
	api.EventServiceFollowEventsProcedure:     byViewer,

	api.NodeServiceListNodesProcedure:       byViewer,
	api.NodeServiceGetNodeProcedure:         byViewer,
	api.NodeServiceGetNodeOverviewProcedure: byViewer,
	api.NodeServiceRemoveNodeProcedure:      byAdmin,
	api.NodeServiceCreateJoinTokenProcedure: byAdmin,
	api.NodeServiceListJoinTokensProcedure:  byAdmin,
	api.NodeServiceDeleteJoinTokenProcedure: byAdmin,

	// Targets of channels may hold what gives access to them.
	api.NotificationServiceListChannelsProcedure:  byAdmin,
	api.NotificationServicePutChannelProcedure:    byAdmin,
	api.NotificationServiceDeleteChannelProcedure: byAdmin,
	api.NotificationServiceTestChannelProcedure:   byAdmin,

	// Join checks the join token.
	api.SyncServiceJoinProcedure:            anyone,
	api.SyncServiceRenewProcedure:           renewal,
	api.SyncServiceSyncProcedure:            byNode,
	api.SyncServiceReportStateProcedure:     byNode,
	api.SyncServiceReportInventoryProcedure: byNode,
	api.SyncServiceGetVerdictsProcedure:     byNode,
	api.SyncServiceUploadDecisionsProcedure: byNode,
	api.SyncServiceReportStartsProcedure:    byNode,
}

// ByViewer is the rule of what is read without an RPC.
func ByViewer() Rule { return byViewer }

// ByEditor is the rule of what is uploaded without an RPC.
func ByEditor() Rule { return byEditor }
