package verdict

import (
	"cmp"
	"fmt"
	"slices"
)

// ErrCut says that there were more findings than a verdict may have, and that the worst of them are there.
var ErrCut = fmt.Errorf("more than %d findings of one kind; the worst are known, the others not", MaxFindings)

// Worst keeps of a list that is too long for a verdict the worst findings. Whoever makes an image can make
// its findings many, and must not have the bad ones dropped by it.
func Worst[F any](findings []F, severity func(*F) Severity) []F {
	if len(findings) <= MaxFindings {
		return findings
	}
	slices.SortStableFunc(findings, func(a, b F) int { return cmp.Compare(severity(&b), severity(&a)) })
	clear(findings[MaxFindings:])
	return findings[:MaxFindings]
}

func (v *Vulnerability) severity() Severity { return v.Severity }
func (m *Malware) severity() Severity       { return m.Severity }
func (s *Secret) severity() Severity        { return s.Level }
