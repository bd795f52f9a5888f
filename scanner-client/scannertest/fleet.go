package scannertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

// Fleet is a source of images as clusters hold them, with 200 findings each: 60 base images with about
// 120, in front of them 400 application stacks with about 70, and Own findings that no other image has.
type Fleet struct{ Own int }

// Verdict returns the verdict of an image that Image has made.
func (f Fleet) Verdict(_ context.Context, image scanner.Image) (*verdict.Verdict, error) {
	var n int
	if _, err := fmt.Sscanf(image.ID, "sha256:%x", &n); err != nil {
		return nil, err
	}
	v := Verdict(n, 1)
	add := func(stack string, seed, count int) {
		r := rand.New(rand.NewPCG(uint64(seed), 7)) //nolint:gosec // the same findings every time
		for range count {
			v.Vulnerabilities = append(v.Vulnerabilities, vulnerability(stack, r))
		}
	}
	shared := 190 - f.Own + 10
	add("base", n%60, shared*12/19)
	add("stack", 1000+n%400, shared-shared*12/19)
	add(fmt.Sprintf("own-%d", n), 100_000+n, f.Own)
	return v, nil
}

var severities = []verdict.Severity{verdict.Negligible, verdict.Low, verdict.Medium, verdict.High, verdict.Critical}

func vulnerability(stack string, r *rand.Rand) verdict.Vulnerability {
	id := 10_000 + r.IntN(40_000)
	return verdict.Vulnerability{
		ID: fmt.Sprintf("CVE-20%d-%d", 15+r.IntN(11), id), Severity: severities[r.IntN(len(severities))],
		Aliases: []string{fmt.Sprintf("GHSA-%04x-%04x-%04x", r.IntN(1<<16), r.IntN(1<<16), r.IntN(1<<16))},
		Package: fmt.Sprintf("lib%s-%d", stack, r.IntN(500)), Version: fmt.Sprintf("%d.%d.%d-1ubuntu0.%d", r.IntN(9), r.IntN(30), r.IntN(9), r.IntN(9)),
		FixedVersion: fmt.Sprintf("%d.%d.%d-1ubuntu0.%d", r.IntN(9), r.IntN(30), r.IntN(9), r.IntN(9)),
		Type:         "deb", CWEs: []int{r.IntN(1400)}, Labels: []string{"fixable", "network", "os-package"},
		PublishedAt: time.Unix(1_500_000_000+int64(id)*3600, 0).UTC(),
	}
}
