package compact

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// maxText bounds a text that is read back, in bytes: no finding is larger than the report it came in.
const maxText = 32 << 20

// WriteTexts writes texts in the form that ReadTexts takes.
func WriteTexts(w io.Writer, texts []string) error {
	if err := WriteNumber(w, int64(len(texts))); err != nil {
		return err
	}
	for _, text := range texts {
		if err := WriteText(w, text); err != nil {
			return err
		}
	}
	return nil
}

// Texts returns the texts of the pool's slots, in order; those not used are empty.
func (p *Pool) Texts() []string {
	texts := make([]string, len(p.slots))
	for i := range p.slots {
		texts[i] = p.slots[i].text
	}
	return texts
}

// ReadPool reads what WriteTexts wrote of a pool's Texts. The packed verdicts that refer to it must be
// taken in with Adopt, and Tidy called after the last.
func ReadPool(r *bufio.Reader) (*Pool, error) {
	count, err := ReadNumber(r)
	if err != nil {
		return nil, err
	}
	p := NewPool()
	for range count {
		text, err := ReadText(r)
		if err != nil {
			return nil, err
		}
		if _, known := p.place[text]; known || text == "" {
			p.slots = append(p.slots, slot{})
			p.free = append(p.free, uint32(len(p.slots)-1)) //nolint:gosec // memory ends long before
			continue
		}
		p.appendSlot(text)
	}
	return p, nil
}

func (p *Pool) appendSlot(text string) {
	p.place[text] = uint32(len(p.slots)) //nolint:gosec // memory ends long before
	p.slots = append(p.slots, slot{text: text})
	p.bytes += len(text) + slotCost
}

// Adopt counts the uses of a packed verdict that was read back with its pool.
func (p *Pool) Adopt(packed []byte) error {
	unknown := false
	err := p.walk(packed, func(number uint32) { unknown = unknown || p.slots[number].text == "" })
	if err != nil || unknown {
		return ErrMalformed
	}
	return p.walk(packed, func(number uint32) { p.slots[number].uses++ })
}

// Tidy drops the texts that nothing refers to.
func (p *Pool) Tidy() {
	for number := range p.slots {
		if s := &p.slots[number]; s.uses == 0 && s.text != "" {
			p.discard(uint32(number))
		}
	}
}

// WriteNumber writes a number in the form that ReadNumber takes.
func WriteNumber(w io.Writer, n int64) error {
	_, err := w.Write(binary.AppendVarint(nil, n))
	return err
}

// ReadNumber reads what WriteNumber wrote.
func ReadNumber(r *bufio.Reader) (int64, error) { return binary.ReadVarint(r) }

// WriteText writes a text in the form that ReadText takes.
func WriteText(w io.Writer, text string) error {
	if err := WriteNumber(w, int64(len(text))); err != nil {
		return err
	}
	_, err := io.WriteString(w, text)
	return err
}

// ReadText reads what WriteText wrote.
func ReadText(r *bufio.Reader) (string, error) {
	n, err := ReadNumber(r)
	if err != nil {
		return "", err
	}
	if n < 0 || n > maxText {
		return "", fmt.Errorf("a text of %d bytes", n)
	}
	if n <= int64(r.Size()) {
		text, err := r.Peek(int(n))
		if err != nil {
			return "", err
		}
		s := string(text)
		_, err = r.Discard(len(s))
		return s, err
	}
	var text strings.Builder // grows with what is there, not with what is claimed
	if _, err := io.CopyN(&text, r, n); err != nil {
		return "", err
	}
	return text.String(), nil
}
