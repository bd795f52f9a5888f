package scanner

import (
	"math"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"portcullis/scanner-client/verdict"
)

// openVerdicts are those that are kept ready for use, the latest used first, because unpacking one for
// every container would cost more than the decision itself.
type openVerdicts struct {
	verdicts *simplelru.LRU[string, *verdict.Verdict]
	findings int
	most     int
}

func newOpenVerdicts(findings int) *openVerdicts {
	o := &openVerdicts{most: findings}
	// The bound is that of the findings; the size given here only has to be positive.
	o.verdicts, _ = simplelru.NewLRU(math.MaxInt, func(_ string, v *verdict.Verdict) { o.findings -= weight(v) })
	return o
}

func weight(v *verdict.Verdict) int {
	return 1 + len(v.Vulnerabilities) + len(v.Malware) + len(v.Secrets)
}

func (o *openVerdicts) get(id string) *verdict.Verdict {
	v, _ := o.verdicts.Get(id)
	return v
}

func (o *openVerdicts) close(id string) { o.verdicts.Remove(id) }

// add keeps at least v, however large it is.
func (o *openVerdicts) add(id string, v *verdict.Verdict) {
	o.verdicts.Remove(id)
	o.verdicts.Add(id, v)
	o.findings += weight(v)
	for o.findings > o.most && o.verdicts.Len() > 1 {
		o.verdicts.RemoveOldest()
	}
}
