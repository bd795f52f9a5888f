package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"portcullis/internal/cli/output"
)

// list joins words as they stand in a sentence.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// enumeration is a type that protoc made.
type enumeration interface {
	~int32
	protoreflect.Enum
}

// enums is a flag that takes words of an enumeration, comma-separated or repeated.
type enums[E enumeration] struct{ values *[]E }

func (f enums[E]) String() string {
	if f.values == nil {
		return ""
	}
	words := make([]string, len(*f.values))
	for i, v := range *f.values {
		words[i] = output.Word(v)
	}
	return strings.Join(words, ",")
}

func (f enums[E]) Set(text string) error {
	var e E
	for _, word := range strings.Split(text, ",") {
		number, err := output.ParseWord(e.Descriptor(), word)
		if err != nil {
			return err
		}
		*f.values = append(*f.values, E(number))
	}
	return nil
}

func (f enums[E]) Type() string { return "WORD" }

// enumFlag adds a flag that takes words of an enumeration.
func enumFlag[E enumeration](command *cobra.Command, values *[]E, name, usage string) {
	var e E
	words := output.Words(e.Descriptor())
	command.Flags().Var(enums[E]{values}, name, usage+": "+list(words))
	_ = command.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
}

// one is the only word of a flag that may be given once.
func one[E enumeration](name string, values []E) (E, error) {
	switch len(values) {
	case 0:
		return 0, nil
	case 1:
		return values[0], nil
	}
	return 0, fmt.Errorf("--%s may be given once", name)
}

// moment is a flag that takes a time, or how long ago that is.
type moment struct {
	at   *timestamppb.Timestamp
	text string
}

func (m *moment) String() string { return m.text }
func (m *moment) Type() string   { return "TIME" }

func (m *moment) Set(text string) error {
	m.text = text
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		m.at = timestamppb.New(at)
		return nil
	}
	ago, err := parseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is neither a time such as 2027-03-01T00:00:00Z nor a duration such as 90m, 12h or 7d", text)
	}
	m.at = timestamppb.New(time.Now().Add(-ago))
	return nil
}

// duration is a flag that takes days and weeks, too.
type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }
func (d *duration) Type() string   { return "DURATION" }

func (d *duration) Set(text string) error {
	parsed, err := parseDuration(text)
	if err != nil {
		return err
	}
	*d = duration(parsed)
	return nil
}

var (
	_ pflag.Value = (*moment)(nil)
	_ pflag.Value = (*duration)(nil)
)

func parseDuration(text string) (time.Duration, error) {
	parsed, err := time.ParseDuration(text)
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, found := strings.CutSuffix(text, unit); found {
			var count uint64
			count, err = strconv.ParseUint(number, 10, 12)
			parsed = time.Duration(count) * length
		}
	}
	if err != nil || parsed < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 90m, 12h or 7d", text)
	}
	return parsed, nil
}
