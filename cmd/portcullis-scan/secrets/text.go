package secrets

import (
	"bytes"
	"unicode/utf8"
)

// shortest is how many characters a run of text in a binary file must have: programs and archives are full
// of shorter ones that are none.
const shortest = 6

// textOf returns the text in a part of a file. A part without zero bytes is text as a whole. Of others it
// is what a person would see with strings(1): the runs of text between the bytes that are none, one on a
// line, which for most programs and archives is so little that the rules are soon done with it. A run of
// characters with zero bytes in between is text in UTF-16, as Windows writes it.
func textOf(part []byte) []byte {
	if bytes.IndexByte(part, 0) < 0 {
		return part
	}
	text := make([]byte, 0, len(part)/8)
	for len(part) > 0 {
		narrow := textRun(part)
		if narrow >= shortest {
			text = append(append(text, part[:narrow]...), '\n')
			part = part[narrow:]
			continue
		}
		if wide := wideRun(part); wide >= shortest {
			for i := range wide {
				text = append(text, part[2*i])
			}
			text = append(text, '\n')
			part = part[min(2*wide, len(part)):]
			continue
		}
		part = part[max(narrow, 1):]
	}
	return text
}

// textRun is how many bytes of text there are at the beginning.
func textRun(part []byte) int {
	n := 0
	for n < len(part) {
		switch {
		case plain(part[n]):
			n++
		case part[n] >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(part[n:])
			if r == utf8.RuneError {
				return n
			}
			n += size
		default:
			return n
		}
	}
	return n
}

// wideRun is how many characters there are at the beginning that have a zero byte behind them. The last one
// of a part may lack it: big-endian text has it in front.
func wideRun(part []byte) int {
	n := 0
	for 2*n < len(part) && plain(part[2*n]) && (2*n+1 == len(part) || part[2*n+1] == 0) {
		n++
	}
	return n
}

// plain says whether a byte is a character of text in ASCII.
func plain(b byte) bool { return ' ' <= b && b <= '~' || '\t' <= b && b <= '\r' }
