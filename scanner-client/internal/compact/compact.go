// Package compact answers: how are thousands of verdicts kept in little memory?
//
// Images share most of their findings, because they share their base images. So a Pool holds every
// distinct finding once, as one short text, and a verdict is the numbers of its findings there: one or
// two bytes each. Unpacking takes some hundred nanoseconds a finding; its strings are parts of the
// pool's texts and cost nothing.
package compact

import (
	"encoding/binary"
	"errors"

	"portcullis/scanner-client/verdict"
)

// Pool is what packed verdicts refer to. It is not safe for concurrent use.
type Pool struct {
	slots []slot
	free  []uint32 // slots that are not used
	place map[string]uint32
	bytes int
	text  writer // reused
}

// slot holds one text; uses counts the places in packed verdicts that refer to it.
type slot struct {
	text string
	uses uint32
}

// slotCost is what a slot takes besides its text, in bytes: itself and its place in the map.
const slotCost = 80

// NewPool makes an empty pool.
func NewPool() *Pool { return &Pool{place: map[string]uint32{}} }

// Len is the number of distinct texts.
func (p *Pool) Len() int { return len(p.place) }

// Bytes estimates the memory that the pool takes.
func (p *Pool) Bytes() int { return p.bytes }

// ErrMalformed says that a packed verdict does not belong to the pool.
var ErrMalformed = errors.New("malformed packed verdict")

// Pack takes what v says, its image ID apart, into the pool.
func (p *Pool) Pack(v *verdict.Verdict) []byte {
	packed := make([]byte, 0, 32+2*(len(v.Vulnerabilities)+len(v.Malware)+len(v.Secrets)))
	w := writer(packed)
	w.number(int64(p.take(func(t *writer) { t.heading(v) })))
	w.time(v.ScannedAt)
	packAll(p, &w, v.Vulnerabilities, (*writer).vulnerability)
	packAll(p, &w, v.Malware, (*writer).malware)
	packAll(p, &w, v.Secrets, (*writer).secret)
	return append([]byte(nil), w...)
}

// packAll writes the numbers of findings as distances, which are small: what came into the pool together
// has numbers in a row.
func packAll[F any](p *Pool, w *writer, findings []F, write func(*writer, *F)) {
	w.count(len(findings))
	previous := int64(0)
	for i := range findings {
		number := int64(p.take(func(t *writer) { write(t, &findings[i]) }))
		w.number(number - previous)
		previous = number
	}
}

// take returns the number of the slot with the text that write writes, and counts one more use of it.
func (p *Pool) take(write func(*writer)) uint32 {
	p.text = p.text[:0]
	write(&p.text)
	number, known := p.place[string(p.text)]
	if !known {
		number = p.add(string(p.text))
	}
	p.slots[number].uses++
	return number
}

func (p *Pool) add(text string) uint32 {
	var number uint32
	if n := len(p.free); n > 0 {
		number, p.free = p.free[n-1], p.free[:n-1]
	} else {
		number = uint32(len(p.slots)) //nolint:gosec // memory ends long before 2^32 findings
		p.slots = append(p.slots, slot{})
	}
	p.slots[number].text = text
	p.place[text] = number
	p.bytes += len(text) + slotCost
	return number
}

// Drop takes a packed verdict out of the pool; it cannot be unpacked any more.
func (p *Pool) Drop(packed []byte) {
	_ = p.walk(packed, func(number uint32) {
		s := &p.slots[number]
		if s.uses--; s.uses > 0 {
			return
		}
		p.discard(number)
	})
}

func (p *Pool) discard(number uint32) {
	s := &p.slots[number]
	p.bytes -= len(s.text) + slotCost
	delete(p.place, s.text)
	*s = slot{}
	p.free = append(p.free, number)
}

// walk calls each for the numbers of the slots that packed refers to.
func (p *Pool) walk(packed []byte, each func(number uint32)) error {
	r := reader{rest: string(packed)}
	visit := func(number int64) {
		if number < 0 || number >= int64(len(p.slots)) {
			r.malformed = true
			return
		}
		each(uint32(number)) //nolint:gosec // an index of slots
	}
	visit(r.number())
	r.time()
	for range len(verdict.Kinds()) {
		number := int64(0)
		for range r.count() {
			if number += r.number(); !r.malformed {
				visit(number)
			}
		}
	}
	return r.end()
}

// Unpack returns the verdict of the image that Pack was given.
func (p *Pool) Unpack(packed []byte, imageID string) (*verdict.Verdict, error) {
	u := unpacker{pool: p, packed: reader{rest: string(packed)}}
	v := &verdict.Verdict{ImageID: imageID}
	u.open(u.packed.number())
	u.text.heading(v)
	u.shut()
	v.ScannedAt = u.packed.time()
	v.Vulnerabilities = unpackAll(&u, (*reader).vulnerability)
	v.Malware = unpackAll(&u, (*reader).malware)
	v.Secrets = unpackAll(&u, (*reader).secret)
	if err := u.packed.end(); err != nil || u.malformed {
		return nil, ErrMalformed
	}
	return v, nil
}

// unpacker reads one packed verdict; text is the slot that it has opened.
type unpacker struct {
	pool      *Pool
	packed    reader
	text      reader
	malformed bool
}

func (u *unpacker) open(number int64) {
	u.text.rest = ""
	if number < 0 || number >= int64(len(u.pool.slots)) || u.pool.slots[number].uses == 0 {
		u.malformed = true
		return
	}
	u.text.rest = u.pool.slots[number].text
}

// shut says that all of the open slot should have been read.
func (u *unpacker) shut() { u.malformed = u.malformed || u.text.end() != nil }

func unpackAll[F any](u *unpacker, read func(*reader, *F)) []F {
	count := u.packed.count()
	if count == 0 {
		return nil
	}
	findings := make([]F, count)
	number := int64(0)
	for i := range findings {
		number += u.packed.number()
		u.open(number)
		read(&u.text, &findings[i])
		u.shut()
	}
	return findings
}

// writer appends values, reader takes them off again in the same order.
type writer []byte

func (w *writer) number(n int64) { *w = binary.AppendVarint(*w, n) }
func (w *writer) count(n int)    { *w = binary.AppendUvarint(*w, uint64(n)) } //nolint:gosec // never negative

func (w *writer) string(s string) {
	w.count(len(s))
	*w = append(*w, s...)
}

type reader struct {
	rest      string
	malformed bool
	// Lists are parts of larger ones, because most are short and there are many.
	texts   []string
	numbers []int
}

// cut takes a list of n off a larger one, and makes a new larger one when it is used up.
func cut[T any](from *[]T, n int) []T {
	if len(*from) < n {
		*from = make([]T, max(n, 256))
	}
	list := (*from)[:n:n]
	*from = (*from)[n:]
	return list
}

func (r *reader) fail() {
	r.malformed = true
	r.rest = ""
}

func (r *reader) uvarint() uint64 {
	var value uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		b := r.rest[i]
		value |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			r.rest = r.rest[i+1:]
			return value
		}
	}
	r.fail()
	return 0
}

func (r *reader) number() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1) // zigzag, as binary.AppendVarint writes it
}

// count reads how many values follow; each takes at least a byte, so a larger count is a lie.
func (r *reader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n) //nolint:gosec // at most the length of a string
}

func (r *reader) string() string {
	n := r.count()
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) end() error {
	if r.malformed || r.rest != "" {
		return ErrMalformed
	}
	return nil
}
