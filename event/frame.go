package event

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// A segment of the spool is a heading and then frames, one for each record:
//
//	magic (4 bytes) · length of the rest · its CRC-32C · kind (1) · number (8) · content
//
// Numbers are big-endian. The magic cannot stand in JSON, so that after damage the next frame is found,
// and nothing that a pod's author wrote looks like one.
const (
	frameHeading = 4 + 4 + 4
	frameStart   = 1 + 8 // kind and number
	// maxFrame bounds what is believed of a length.
	maxFrame = maxRecord + 1<<10
)

var (
	frameMagic = []byte{0xF5, 0x9D, 0xC7, 0xFA}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// kind says what the content of a frame is.
type kind byte

const (
	// whole is a Record in its JSON form.
	whole kind = 'W'
	// again is the number of a whole record in the same segment, and when the same was decided once more,
	// in microseconds.
	again kind = 'A'
)

type frame struct {
	kind    kind
	number  int64
	content []byte
}

// appendFrame appends f in the form that frames takes apart.
func appendFrame(to []byte, f frame) []byte {
	start := len(to)
	to = append(to, frameMagic...)
	to = binary.BigEndian.AppendUint32(to, uint32(frameStart+len(f.content))) //nolint:gosec // content is at most maxRecord
	to = append(to, 0, 0, 0, 0, byte(f.kind))
	to = binary.BigEndian.AppendUint64(to, uint64(f.number)) //nolint:gosec // numbers count from 1
	to = append(to, f.content...)
	binary.BigEndian.PutUint32(to[start+8:], crc32.Checksum(to[start+frameHeading:], castagnoli))
	return to
}

// frames gives the whole frames in data to take, in order, until take says no. It returns where the last
// one ended, and how many stretches between frames were damaged. What follows the end is no whole frame.
func frames(data []byte, take func(f frame, end int) bool) (end, damaged int) {
	at, broken := 0, false
	for at < len(data) {
		f, size := parseFrame(data[at:])
		if size == 0 {
			broken = true
			next := bytes.Index(data[at+1:], frameMagic)
			if next < 0 {
				break
			}
			at += 1 + next
			continue
		}
		if broken {
			broken = false
			damaged++
		}
		at += size
		end = at
		if !take(f, end) {
			break
		}
	}
	return end, damaged
}

// parseFrame returns the frame at the beginning of data, and a size of 0 when there is none that is whole.
func parseFrame(data []byte) (frame, int) {
	if len(data) < frameHeading+frameStart || !bytes.Equal(data[:4], frameMagic) {
		return frame{}, 0
	}
	length := int(binary.BigEndian.Uint32(data[4:]))
	if length < frameStart || length > maxFrame || len(data) < frameHeading+length {
		return frame{}, 0
	}
	rest := data[frameHeading : frameHeading+length]
	if crc32.Checksum(rest, castagnoli) != binary.BigEndian.Uint32(data[8:]) {
		return frame{}, 0
	}
	number := int64(binary.BigEndian.Uint64(rest[1:])) //nolint:gosec // checked below
	if number < 1 {
		return frame{}, 0
	}
	return frame{kind(rest[0]), number, rest[frameStart:]}, frameHeading + length
}
