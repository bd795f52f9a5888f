package verdict

import (
	"fmt"
	"strings"
)

// Severity is how bad a finding is, as the scanner rated it. The zero value is Unknown; a larger value
// is worse.
type Severity uint8

// The severities, from mildest to worst.
const (
	Unknown Severity = iota
	Negligible
	Low
	Medium
	High
	Critical
)

var severityNames = [...]string{"Unknown", "Negligible", "Low", "Medium", "High", "Critical"}

// SeverityNames lists the names that ParseSeverity takes, worst first.
func SeverityNames() []string {
	return []string{"Critical", "High", "Medium", "Low", "Negligible", "Unknown"}
}

func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("Severity(%d)", uint8(s))
}

// ParseSeverity reads a severity by its exact name.
func ParseSeverity(name string) (Severity, error) {
	for i, known := range severityNames {
		if name == known {
			return Severity(i), nil
		}
	}
	return Unknown, fmt.Errorf("unknown severity %q; write one of %s", name, strings.Join(SeverityNames(), ", "))
}

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Severity) UnmarshalText(text []byte) error {
	parsed, err := ParseSeverity(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}
