package uplink

import (
	"context"
	"encoding/json"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/event"
	"portcullis/policy"
)

// uploadedDecisions bounds one upload.
const uploadedDecisions = 1000

// upload delivers the spool.
func (u *Uplink) upload(ctx context.Context, c portcullisv1connect.SyncServiceClient) error {
	most := uploadedDecisions
	bare := false
	retry := backoff{min: u.options.Times.RetryMin, max: u.options.Times.RetryMax}
	for ctx.Err() == nil {
		batch, err := u.options.Spool.Next(most)
		if err == nil && batch.Through == batch.After {
			wait(ctx, u.options.Times.State, u.options.Spool.Changed())
			wait(ctx, u.options.Times.Upload, nil)
			continue
		}
		if err == nil {
			err = u.deliver(ctx, c, batch, bare)
		}
		switch {
		case err == nil:
			if len(batch.Records) < most {
				wait(ctx, u.options.Times.Upload, nil)
			}
			most, bare = min(uploadedDecisions, 2*most), false
			retry.reset()
			continue
		case ctx.Err() != nil:
			return nil
		case refused(err):
			return err
		case connect.CodeOf(err) == connect.CodeInvalidArgument || tooLarge(err):
			// One decision that central does not take must not keep back the others for ever.
			bare = most == 1
			most = max(1, most/2)
		}
		u.options.Log.WithError(err).Warn("decisions could not be delivered; they stay in the spool")
		wait(ctx, u.repeatAfter(err, &retry), nil)
	}
	return nil
}

// deliver uploads one batch and takes what central has out of the spool.
func (u *Uplink) deliver(ctx context.Context, c portcullisv1connect.SyncServiceClient, batch event.Batch, bare bool) error {
	ctx, cancel := context.WithTimeout(ctx, u.options.Times.Call)
	defer cancel()
	request := &portcullisv1.UploadDecisionsRequest{Spool: batch.Spool, After: batch.After, Through: batch.Through}
	decisions := int64(0)
	for _, r := range batch.Records {
		request.Decisions = append(request.Decisions, folded(r, bare))
		decisions += r.Count
	}
	answer, err := c.UploadDecisions(ctx, request)
	if err != nil {
		return err
	}
	if answer.GetThrough() == batch.Through {
		u.uploaded.Add(decisions)
	}
	return u.options.Spool.Acknowledge(answer.GetThrough())
}

// folded is a record in the words of the API; bare leaves out what central may not be able to take.
func folded(r *event.Record, bare bool) *portcullisv1.FoldedDecision {
	e := &portcullisv1.Event{
		Action: action(r.Action), Template: string(r.Template), Policy: valid(r.Policy), Reason: string(r.Reason), Because: valid(r.Because),
		Message: valid(r.Message), Severity: r.Severity, Operation: r.Operation, Image: valid(r.Image), ImageId: valid(r.ImageID),
		Cluster: valid(r.Cluster), Namespace: valid(r.Namespace), Pod: valid(r.Pod), PodUid: valid(r.PodUID), PodAddress: valid(r.PodAddress),
		Container: valid(r.Container), BundleRevision: r.Revision, FirstTime: timestamppb.New(r.First), LastTime: timestamppb.New(r.Last), Count: r.Count,
		Summarised: r.Summarised || bare,
	}
	if !r.EnforceAt.IsZero() {
		e.EnforceAt = timestamppb.New(r.EnforceAt)
	}
	if !bare {
		e.Matches, e.Asks = matches(r.Matches), asks(r.Asks)
	}
	return &portcullisv1.FoldedDecision{Event: e}
}

func action(a policy.Action) portcullisv1.Action {
	if a == policy.Block {
		return portcullisv1.Action_ACTION_BLOCK
	}
	return portcullisv1.Action_ACTION_ALERT
}

func asks(list []policy.Ask) []*portcullisv1.Ask {
	var all []*portcullisv1.Ask
	for _, a := range list {
		all = append(all, &portcullisv1.Ask{Parameter: valid(a.Parameter), Detail: valid(a.Detail)})
	}
	return all
}

// matches are policy.Match in their JSON form.
func matches(list []policy.Match) []*structpb.Struct {
	var all []*structpb.Struct
	for _, m := range list {
		text, err := json.Marshal(m)
		if err != nil {
			continue // plain data always marshals
		}
		s := &structpb.Struct{}
		if err := s.UnmarshalJSON([]byte(strings.ReplaceAll(string(text), `\u0000`, ""))); err == nil {
			all = append(all, s)
		}
	}
	return all
}

// valid is text that a message and a database can hold.
func valid(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
}
