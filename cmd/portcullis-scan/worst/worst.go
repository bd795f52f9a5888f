// Package worst answers: which findings does a verdict keep when there are more than it can hold?
package worst

import (
	"encoding/json"
	"slices"
)

const (
	// MostFindings bounds the findings of one kind, so that a verdict stays a file that nodes read.
	MostFindings = 20_000
	// mostBytes bounds them in their JSON form: the paths in them are the image's choice, and three kinds
	// with their indentation must stay below what nodes read of a verdict, 32 MiB.
	mostBytes = 6 << 20
)

// List keeps the worst findings that are added and counts the others, however many there are. Equal
// findings are one.
type List[F any] struct {
	compare func(a, b F) int
	kept    []weighed[F]
	bytes   int
	full    bool // findings were left out, none of them worse than mildest
	mildest F
	omitted int
}

// weighed is a finding with the length of its JSON form.
type weighed[F any] struct {
	finding F
	bytes   int
}

// New makes a List. compare puts the worst first and tells any two findings apart.
func New[F any](compare func(a, b F) int) *List[F] { return &List[F]{compare: compare} }

// Add adds a finding.
func (l *List[F]) Add(finding F) {
	if l.full && l.compare(finding, l.mildest) > 0 {
		l.omitted++
		return
	}
	text, err := json.Marshal(finding)
	if err != nil || len(text) > mostBytes {
		l.omitted++
		return
	}
	l.kept = append(l.kept, weighed[F]{finding, len(text)})
	l.bytes += len(text)
	if len(l.kept) >= 2*MostFindings || l.bytes >= 2*mostBytes {
		l.prune()
	}
}

func (l *List[F]) prune() {
	slices.SortStableFunc(l.kept, func(a, b weighed[F]) int { return l.compare(a.finding, b.finding) })
	l.kept = slices.CompactFunc(l.kept, func(a, b weighed[F]) bool { return l.compare(a.finding, b.finding) == 0 })
	l.bytes = 0
	for i, k := range l.kept {
		if i == MostFindings || l.bytes+k.bytes > mostBytes {
			l.omitted += len(l.kept) - i
			clear(l.kept[i:])
			l.kept = l.kept[:i]
			l.full, l.mildest = true, l.kept[i-1].finding
			return
		}
		l.bytes += k.bytes
	}
}

// Findings returns what was kept, the worst first, and how many others there were. A finding that was
// added several times may be counted several times among the others.
func (l *List[F]) Findings() (kept []F, omitted int) {
	l.prune()
	kept = make([]F, len(l.kept))
	for i, k := range l.kept {
		kept[i] = k.finding
	}
	return kept, l.omitted
}
