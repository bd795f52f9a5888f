package nodes

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	portcullisv1 "portcullis/api/portcullis/v1"
)

const (
	// maxEdits is from how many bundles before it the newest can be told as an edit. A node that is further behind gets
	// it whole.
	maxEdits = 8
	// maxKept bounds the documents that are kept for that, in bytes: a bundle has up to 12 MiB of them. Edits, of half a
	// bundle at most, are kept besides.
	maxKept = 32 << 20
)

// outgoing is the newest bundle as it is sent: whole, and as edits of those before it. Most changes are of one policy
// among hundreds, and what they cost a fleet should be that policy, not the hundreds.
type outgoing struct {
	held  held
	whole parcel
	edits map[held]parcel // by what is edited

	documents string
	before    []*outgoing // the newest first, at most maxEdits; those keep none
}

// held is the bundle that a node holds. Its number is not enough: a database that was restored gives numbers a
// second time.
type held struct {
	number int64
	sha256 string // of its documents
}

func heldOf(b *portcullisv1.Bundle) held {
	sum := sha256.Sum256([]byte(b.GetDocuments()))
	return held{b.GetNumber(), hex.EncodeToString(sum[:])}
}

// parcel is a message that many streams send. It is compressed once, not for each node.
type parcel struct {
	message        *portcullisv1.SyncResponse
	plain, gzipped []byte // of message
}

// newOutgoing prepares a bundle; before it there was another, or nil.
func newOutgoing(b *portcullisv1.Bundle, before *outgoing, reportWithin time.Duration) (*outgoing, error) {
	o := &outgoing{held: heldOf(b), documents: b.GetDocuments(), edits: map[held]parcel{}}
	within := durationpb.New(reportWithin)
	var err error
	o.whole, err = newParcel(&portcullisv1.SyncResponse{Change: &portcullisv1.SyncResponse_Bundle{Bundle: b}, ReportWithin: within})
	if err != nil {
		return nil, fmt.Errorf("bundle %d: %w", b.GetNumber(), err)
	}
	o.before = before.kept()
	for _, old := range o.before {
		edit := editOf(old, o)
		if len(edit.GetText()) > len(o.documents)/2 {
			continue
		}
		edit.CreateTime = b.GetCreateTime()
		o.edits[old.held], err = newParcel(&portcullisv1.SyncResponse{Change: &portcullisv1.SyncResponse_Edit{Edit: edit}, ReportWithin: within})
		if err != nil {
			return nil, fmt.Errorf("bundle %d as an edit of %d: %w", b.GetNumber(), old.held.number, err)
		}
	}
	return o, nil
}

// kept is the bundle and those before it, as far as the next can be told as an edit of them.
func (o *outgoing) kept() (all []*outgoing) {
	if o == nil {
		return nil
	}
	size := 0
	for _, old := range append([]*outgoing{{held: o.held, documents: o.documents}}, o.before...) {
		if size += len(old.documents); len(all) == maxEdits || size > maxKept {
			break
		}
		all = append(all, old)
	}
	return all
}

func newParcel(message *portcullisv1.SyncResponse) (p parcel, err error) {
	p.message = message
	if p.plain, err = proto.Marshal(message); err != nil || len(p.plain) < compressedFrom {
		return p, err
	}
	p.gzipped, err = compressed(p.plain)
	return p, err
}

// editOf makes one bundle of another: what both begin and end with stays.
func editOf(old, next *outgoing) *portcullisv1.BundleEdit {
	a, b := old.documents, next.documents
	first, last := 0, 0
	for first < min(len(a), len(b)) && a[first] == b[first] {
		first++
	}
	for last < min(len(a), len(b))-first && a[len(a)-1-last] == b[len(b)-1-last] {
		last++
	}
	return &portcullisv1.BundleEdit{
		Number: next.held.number, FromSha256: old.held.sha256, Sha256: next.held.sha256,
		First: int64(first), Text: []byte(b[first : len(b)-last]), Last: int64(last),
	}
}

// message is what a node is sent that holds another bundle.
func (o *outgoing) message(has held, takesEdits bool) *portcullisv1.SyncResponse {
	if edit, known := o.edits[has]; known && takesEdits {
		return edit.message
	}
	return o.whole.message
}

// gzipped returns a message of the bundle in compressed form, nil if plain is none.
func (o *outgoing) gzipped(plain []byte) []byte {
	if bytes.Equal(o.whole.plain, plain) {
		return o.whole.gzipped
	}
	for _, edit := range o.edits {
		if bytes.Equal(edit.plain, plain) {
			return edit.gzipped
		}
	}
	return nil
}
