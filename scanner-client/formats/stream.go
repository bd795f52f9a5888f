package formats

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of a document. The memory that reading takes is that of the largest value and of the findings.
const (
	// MaxValue bounds one JSON value that is read whole, in bytes: one finding, one package.
	MaxValue = 8 << 20
	// maxSkipped bounds a text that is not looked at, in bytes. Reports repeat the configuration of the image,
	// which its maker may blow up.
	maxSkipped = 64 << 20
	// maxDepth bounds objects in objects and lists in lists, as encoding/json does for what it reads whole.
	maxDepth = 10_000
	// MaxText bounds an identifier, a version, a path, in bytes.
	MaxText = 4 << 10
)

// Errors that say what is wrong with a document as a whole.
var (
	ErrTooLarge  = errors.New("report is larger than the limit")
	ErrTruncated = errors.New("report is truncated or empty")
)

var errValueTooLarge = fmt.Errorf("one value is larger than %d bytes", MaxValue)

// Stream reads one JSON document value by value.
type Stream struct {
	source  *bounded
	decoder *json.Decoder
}

// NewStream reads a document of at most limit bytes.
func NewStream(r io.Reader, limit int64) *Stream {
	source := &bounded{reader: WithoutMark(r), document: limit}
	return &Stream{source: source, decoder: json.NewDecoder(source)}
}

// WithoutMark reads r without the byte order mark that PowerShell puts in front of what it writes.
func WithoutMark(r io.Reader) io.Reader {
	buffered := bufio.NewReader(r)
	if mark, err := buffered.Peek(3); err == nil && bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = buffered.Discard(len(mark))
	}
	return buffered
}

// bounded gives out only as much as the document, and the value being read, may have.
type bounded struct {
	reader          io.Reader
	document, value int64
}

func (b *bounded) Read(p []byte) (int, error) {
	switch {
	case b.document < 0:
		return 0, ErrTooLarge
	case b.value <= 0:
		return 0, errValueTooLarge
	}
	p = p[:min(int64(len(p)), b.value, b.document+1)]
	n, err := b.reader.Read(p)
	b.value -= int64(n)
	if b.document -= int64(n); b.document < 0 {
		return n, ErrTooLarge
	}
	return n, err
}

// Into reads the next value into v.
func (s *Stream) Into(v any) error {
	s.source.value = MaxValue
	return plain(s.decoder.Decode(v))
}

func (s *Stream) token() (json.Token, error) {
	s.source.value = MaxValue
	token, err := s.decoder.Token()
	return token, plain(err)
}

func plain(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return err
}

// Object reads the next value, an object, and calls each for its keys; each must read the key's value.
// A null is an object without keys.
func (s *Stream) Object(each func(key string) error) error {
	start, err := s.token()
	if err != nil || start == nil {
		return err
	}
	if start != json.Delim('{') {
		return fmt.Errorf("is %s, not an object", kindOf(start))
	}
	return s.members(each)
}

func (s *Stream) members(each func(key string) error) error {
	for s.more() {
		token, err := s.token()
		if err != nil {
			return err
		}
		key, _ := token.(string) // nothing else can stand here
		if err := each(key); err != nil {
			return at(short(key), err)
		}
	}
	return s.close('}')
}

// Array reads the next value, an array, and calls each for its elements; each must read one. A null is
// an array without elements.
func (s *Stream) Array(each func() error) error {
	start, err := s.token()
	if err != nil || start == nil {
		return err
	}
	if start != json.Delim('[') {
		return fmt.Errorf("is %s, not a list", kindOf(start))
	}
	return s.elements(each)
}

func (s *Stream) elements(each func() error) error {
	for i := 0; s.more(); i++ {
		if err := each(); err != nil {
			return at(fmt.Sprintf("[%d]", i), err)
		}
	}
	return s.close(']')
}

func (s *Stream) more() bool {
	s.source.value = MaxValue
	return s.decoder.More()
}

// close reads the end of an object or a list. That nothing follows may also mean that nothing could be
// read, so the end must really stand there.
func (s *Stream) close(end json.Delim) error {
	token, err := s.token()
	if err == nil && token != end {
		err = fmt.Errorf("ends without a %s", end)
	}
	return err
}

// Members is Object for values that may be something else, which is then dropped.
func (s *Stream) Members(each func(key string) error) error {
	start, err := s.token()
	switch {
	case err != nil:
		return err
	case start == json.Delim('{'):
		return s.members(each)
	case start == json.Delim('['):
		return s.drop(1)
	}
	return nil
}

// Skip reads the next value and drops it, text by text: what is not looked at may be large.
func (s *Stream) Skip() error { return s.drop(0) }

// drop reads on to the end of what is depth objects and lists deep.
func (s *Stream) drop(depth int) error {
	for {
		s.source.value = maxSkipped
		token, err := s.decoder.Token()
		if err != nil {
			return plain(err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return fmt.Errorf("is more than %d objects and lists deep", maxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// End says whether the document ends here.
func (s *Stream) End() error {
	switch _, err := s.token(); {
	case errors.Is(err, ErrTruncated):
		return nil
	case err != nil:
		return err
	}
	return errors.New("more than one JSON value; write one report a file")
}

// placed is an error and where in the document it stands.
type placed struct {
	path string
	err  error
}

func (p *placed) Error() string { return p.path + ": " + p.err.Error() }
func (p *placed) Unwrap() error { return p.err }

func at(step string, err error) error {
	for _, whole := range []error{ErrTruncated, ErrTooLarge} {
		if errors.Is(err, whole) {
			return whole
		}
	}
	var inner *placed
	if !errors.As(err, &inner) {
		return &placed{step, err}
	}
	dot := "."
	if strings.HasPrefix(inner.path, "[") {
		dot = ""
	}
	return &placed{step + dot + inner.path, inner.err}
}

// short keeps a key of somebody else's document from flooding a log.
func short(key string) string {
	if len(key) > 40 {
		key = key[:40] + "…"
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }) {
		return fmt.Sprintf("%q", key)
	}
	return key
}

func kindOf(token json.Token) string {
	switch token.(type) {
	case json.Delim:
		if token == json.Delim('[') {
			return "a list"
		}
		return "an object"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	}
	return "a number"
}
