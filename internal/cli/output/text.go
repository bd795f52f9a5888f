// Package output answers: how is what central says shown, to people and to programs?
//
// Much of it was written by others: whoever may create pods chooses their names. So nothing that a
// terminal would obey gets through.
package output

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Line makes text fit for one line of a terminal: what is not printable is written as an escape.
func Line(text string) string { return escape(text, false) }

// Text is Line for more than one line.
func Text(text string) string { return escape(text, true) }

// Document is Text that leaves alone what means something in YAML, such as a no-break space.
func Document(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func escape(text string, lines bool) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case unicode.IsPrint(r), lines && r == '\n':
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// none stands where there is nothing.
const none = "<none>"

// Or returns text, or <none> where that is empty.
func Or(text string) string {
	if text == "" {
		return none
	}
	return text
}

// Some lists at most the first three.
func Some(texts []string, total int) string {
	if len(texts) == 0 {
		return none
	}
	const most = 3
	shown := strings.Join(texts[:min(most, len(texts))], ",")
	if more := max(total, len(texts)) - most; more > 0 {
		return fmt.Sprintf("%s +%d", shown, more)
	}
	return shown
}

// Age says how long ago at was, or how long until then as "in 3d".
func Age(at *timestamppb.Timestamp, now time.Time) string {
	if at == nil {
		return none
	}
	if passed := now.Sub(at.AsTime()); passed >= 0 {
		return span(passed)
	}
	return "in " + span(at.AsTime().Sub(now).Round(time.Second))
}

// span is short: nobody needs the seconds of a week.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 3*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d < 2*365*day:
		return fmt.Sprintf("%dd", d/day)
	}
	return fmt.Sprintf("%dy", d/(365*day))
}

// Time is for where the age is not enough.
func Time(at *timestamppb.Timestamp, now time.Time) string {
	if at == nil {
		return none
	}
	age := Age(at, now)
	if !strings.HasPrefix(age, "in ") {
		age += " ago"
	}
	return at.AsTime().Format(time.RFC3339) + " (" + age + ")"
}

// Word is a value of an enumeration as people write it: in-force for NODE_STATE_IN_FORCE, and nothing for
// the one that is not specified.
func Word(value protoreflect.Enum) string {
	if value.Number() == 0 {
		return ""
	}
	found := value.Descriptor().Values().ByNumber(value.Number())
	if found == nil { // a newer central's
		return fmt.Sprint(value.Number())
	}
	return word(found)
}

func word(value protoreflect.EnumValueDescriptor) string {
	unspecified := string(value.Parent().(protoreflect.EnumDescriptor).Values().ByNumber(0).Name())
	name := strings.TrimPrefix(string(value.Name()), strings.TrimSuffix(unspecified, "UNSPECIFIED"))
	return strings.ReplaceAll(strings.ToLower(name), "_", "-")
}

// Words are all that may be written for an enumeration.
func Words(enum protoreflect.EnumDescriptor) []string {
	var words []string
	for i := range enum.Values().Len() {
		if value := enum.Values().Get(i); value.Number() != 0 {
			words = append(words, word(value))
		}
	}
	return words
}

// ParseWord is the reverse of Word.
func ParseWord(enum protoreflect.EnumDescriptor, text string) (protoreflect.EnumNumber, error) {
	for i := range enum.Values().Len() {
		if value := enum.Values().Get(i); value.Number() != 0 && strings.EqualFold(word(value), text) {
			return value.Number(), nil
		}
	}
	return 0, fmt.Errorf("%q is not known; write %s", text, strings.Join(Words(enum), ", "))
}
