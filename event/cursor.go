package event

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"os"
)

// cursor says how far a spool has been delivered. It is written in place, into two slots by turns, so that a
// full disk cannot keep it from being written and a crash leaves one slot whole.
type cursor struct {
	version uint64
	id      [16]byte // of the numbering: random
	base    int64    // number before the first of this numbering
	acked   int64    // delivered and answered
	sent    int64    // may have been delivered
}

const (
	cursorSize = 8 + 16 + 8 + 8 + 8 + 4
	cursorSlot = 512 // a sector each
)

// errCursor says that the file is there and neither slot is whole.
var errCursor = errors.New("spool: how far it has been delivered cannot be read")

func newCursor(after int64) cursor {
	c := cursor{version: 1, base: after, acked: after, sent: after}
	_, _ = rand.Read(c.id[:]) // never fails
	return c
}

// name identifies the numbering.
func (c *cursor) name() string { return hex.EncodeToString(c.id[:]) }

func readCursor(file *os.File) (cursor, error) {
	data := make([]byte, 2*cursorSlot)
	n, err := file.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return cursor{}, err
	}
	var newest cursor
	for _, slot := range [][]byte{data[:cursorSlot], data[cursorSlot:]} {
		if c, ok := parseCursor(slot); ok && c.version > newest.version {
			newest = c
		}
	}
	if newest.version == 0 && n > 0 {
		return cursor{}, errCursor
	}
	return newest, nil
}

func parseCursor(data []byte) (cursor, bool) {
	sum := cursorSize - 4
	if crc32.Checksum(data[:sum], castagnoli) != binary.BigEndian.Uint32(data[sum:]) {
		return cursor{}, false
	}
	number := func(at int) int64 { return int64(binary.BigEndian.Uint64(data[at:])) } //nolint:gosec // checked below
	c := cursor{version: binary.BigEndian.Uint64(data), base: number(24), acked: number(32), sent: number(40)}
	copy(c.id[:], data[8:])
	return c, c.base >= 0 && c.base <= c.acked && c.acked <= c.sent
}

func (c *cursor) bytes() []byte {
	data := binary.BigEndian.AppendUint64(nil, c.version)
	data = append(data, c.id[:]...)
	for _, n := range []int64{c.base, c.acked, c.sent} {
		data = binary.BigEndian.AppendUint64(data, uint64(n)) //nolint:gosec // never negative
	}
	return binary.BigEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// write puts c into the slot that is not the newest, and waits for the disk when told to.
func (c *cursor) write(file *os.File, durably bool) error {
	c.version++
	if _, err := file.WriteAt(c.bytes(), int64(c.version%2)*cursorSlot); err != nil {
		return err
	}
	if durably {
		return file.Sync()
	}
	return nil
}
