package uplinktest

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
)

// Join certifies the node that knows the token.
func (c *Central) Join(_ context.Context, request *portcullisv1.JoinRequest) (*portcullisv1.JoinResponse, error) {
	if request.GetToken() != c.Token() {
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("token is used up, expired or unknown"))
	}
	der, err := c.certify(request.GetCertificateRequest())
	return &portcullisv1.JoinResponse{NodeId: "node-1", Certificate: der, Authorities: [][]byte{c.Authority.Certificate.Raw}}, err
}

// Renew certifies a new key.
func (c *Central) Renew(_ context.Context, request *portcullisv1.RenewRequest) (*portcullisv1.RenewResponse, error) {
	der, err := c.certify(request.GetCertificateRequest())
	return &portcullisv1.RenewResponse{Certificate: der, Authorities: [][]byte{c.Authority.Certificate.Raw}}, err
}

func (c *Central) certify(der []byte) ([]byte, error) {
	request, err := x509.ParseCertificateRequest(der)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	return c.Authority.Sign(request.PublicKey, "node-1", time.Now().Add(-time.Second), c.Life)
}

// Sync sends what is new until the stream is cut.
func (c *Central) Sync(ctx context.Context, request *portcullisv1.SyncRequest, stream *connect.ServerStream[portcullisv1.SyncResponse]) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.streams = append(c.streams, cancel)
	c.mu.Unlock()
	if err := stream.Send(&portcullisv1.SyncResponse{Change: &portcullisv1.SyncResponse_Heartbeat{Heartbeat: &portcullisv1.Heartbeat{}}}); err != nil {
		return err
	}
	bundle, sum, verdicts := request.GetBundle(), request.GetBundleSha256(), request.GetVerdicts()
	for {
		c.mu.Lock()
		newest, told, changed := c.bundle, c.told, c.changed
		held, known := c.documents[sum]
		c.mu.Unlock()
		if newest != nil && (newest.GetNumber() != bundle || SHA256(newest.GetDocuments()) != sum) {
			bundle, sum = newest.GetNumber(), SHA256(newest.GetDocuments())
			message := &portcullisv1.SyncResponse{Change: &portcullisv1.SyncResponse_Bundle{Bundle: newest}}
			if known && request.GetEdits() {
				message.Change = &portcullisv1.SyncResponse_Edit{Edit: c.edit(held, newest)}
			}
			if err := stream.Send(message); err != nil {
				return err
			}
		}
		if told != nil && told.GetVerdicts() != verdicts {
			verdicts = told.GetVerdicts()
			if err := stream.Send(&portcullisv1.SyncResponse{Change: &portcullisv1.SyncResponse_Verdicts{Verdicts: told}}); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return connect.NewError(connect.CodeUnavailable, errors.New("stream was cut"))
		case <-changed:
		}
	}
}

// edit makes a bundle of the documents that a node holds.
func (c *Central) edit(held string, newest *portcullisv1.Bundle) *portcullisv1.BundleEdit {
	text, first := newest.GetDocuments(), 0
	for first < min(len(held), len(text)) && held[first] == text[first] {
		first++
	}
	last := 0
	if end := min(len(held), len(text)) - first; end > 0 && held[len(held)-1] == text[len(text)-1] {
		last = 1 // enough for a test
	}
	edit := &portcullisv1.BundleEdit{
		Number: newest.GetNumber(), FromSha256: SHA256(held), Sha256: SHA256(text),
		First: int64(first), Text: []byte(text[first : len(text)-last]), Last: int64(last),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.edits++
	if c.spoil != nil {
		c.spoil(edit)
	}
	return edit
}

// SpoilEdits makes something else of the edits that are sent from now on, or not any more.
func (c *Central) SpoilEdits(spoil func(*portcullisv1.BundleEdit)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoil = spoil
}

// Edits is how many bundles were sent as edits.
func (c *Central) Edits() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.edits
}

// SHA256 is what a node says of a bundle's documents.
func SHA256(documents string) string {
	sum := sha256.Sum256([]byte(documents))
	return hex.EncodeToString(sum[:])
}

// change wakes the streams. The caller holds mu.
func (c *Central) change() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// SetFault replaces Fault while the server runs.
func (c *Central) SetFault(fault func(ctx context.Context, method string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Fault = fault
}

// SetBundle makes a bundle the newest.
func (c *Central) SetBundle(number int64, documents string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bundle = &portcullisv1.Bundle{Number: number, Documents: documents}
	c.documents[SHA256(documents)] = documents
	c.change()
}

// SetVerdict makes something known of an image; an empty text says that it was not scanned.
func (c *Central) SetVerdict(imageID, text, incomplete string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.verdicts[imageID] = &portcullisv1.ImageVerdict{ImageId: imageID, Verdict: []byte(text), Incomplete: incomplete}
	c.told = &portcullisv1.VerdictChanges{ImageIds: slices.Collect(maps.Keys(c.verdicts)), Verdicts: c.told.GetVerdicts() + 1}
	c.change()
}

// CutStreams ends every stream.
func (c *Central) CutStreams() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cancel := range c.streams {
		cancel()
	}
	c.streams = nil
}

// SlowAnswer makes the next answer about verdicts, which is what is known when it is asked for, arrive after release.
func (c *Central) SlowAnswer() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slow := make(chan struct{})
	c.slow = slow
	return sync.OnceFunc(func() { close(slow) })
}

// Slow says whether an answer waits for its release.
func (c *Central) Slow() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// LoseAnswers makes uploads be taken and not answered.
func (c *Central) LoseAnswers(lose bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose = lose
}

// ReportState keeps the report.
func (c *Central) ReportState(_ context.Context, request *portcullisv1.ReportStateRequest) (*portcullisv1.ReportStateResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states = append(c.states, request)
	return &portcullisv1.ReportStateResponse{}, nil
}

// ReportInventory keeps which images there are.
func (c *Central) ReportInventory(_ context.Context, request *portcullisv1.ReportInventoryRequest) (*portcullisv1.ReportInventoryResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if request.GetComplete() {
		clear(c.inventory)
	}
	for _, image := range request.GetAdded() {
		c.inventory[image.GetId()] = image
	}
	for _, id := range request.GetRemovedIds() {
		delete(c.inventory, id)
	}
	return &portcullisv1.ReportInventoryResponse{}, nil
}

// GetVerdicts answers what was set.
func (c *Central) GetVerdicts(_ context.Context, request *portcullisv1.GetVerdictsRequest) (*portcullisv1.GetVerdictsResponse, error) {
	answer := &portcullisv1.GetVerdictsResponse{}
	c.mu.Lock()
	for _, image := range request.GetImages() {
		v := c.verdicts[image.GetId()]
		if v == nil {
			v = &portcullisv1.ImageVerdict{ImageId: image.GetId()}
		}
		answer.Verdicts = append(answer.Verdicts, v)
	}
	slow := c.slow
	c.slow, c.waiting = nil, slow != nil
	c.mu.Unlock()
	if slow != nil {
		<-slow
	}
	return answer, nil
}

// UploadDecisions takes a batch that begins where its knowledge of the spool ends, and no other.
func (c *Central) UploadDecisions(_ context.Context, request *portcullisv1.UploadDecisionsRequest) (*portcullisv1.UploadDecisionsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if request.GetAfter() == c.has[request.GetSpool()] {
		c.events = append(c.events, request.GetDecisions()...)
		c.has[request.GetSpool()] = request.GetThrough()
	}
	if c.lose {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("answer is lost"))
	}
	return &portcullisv1.UploadDecisionsResponse{Through: c.has[request.GetSpool()]}, nil
}

// ReportStarts keeps the starts.
func (c *Central) ReportStarts(_ context.Context, request *portcullisv1.ReportStartsRequest) (*portcullisv1.ReportStartsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts = append(c.starts, request.GetStarts()...)
	return &portcullisv1.ReportStartsResponse{}, nil
}

// State is the newest report of the node, nil before the first.
func (c *Central) State() *portcullisv1.ReportStateRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.states) == 0 {
		return nil
	}
	return c.states[len(c.states)-1]
}

// Inventory is what the node has.
func (c *Central) Inventory() map[string]*portcullisv1.PresentImage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.inventory)
}

// Decisions is what the node has uploaded.
func (c *Central) Decisions() []*portcullisv1.FoldedDecision {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

// Count is how many decisions the node has uploaded.
func (c *Central) Count() int64 {
	var n int64
	for _, d := range c.Decisions() {
		n += d.GetEvent().GetCount()
	}
	return n
}

// Starts is what the node has reported.
func (c *Central) Starts() []*portcullisv1.Start {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.starts)
}

// Calls is how often a method was called.
func (c *Central) Calls(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[method]
}

// LoseDatabase forgets which decisions were uploaded.
func (c *Central) LoseDatabase() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.has)
	c.events = nil
}
