package vulnerabilities

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/osv-scalibr/enricher/vulnmatch/osvdev"
	"github.com/google/osv-scalibr/extractor"
	"github.com/google/osv-scalibr/inventory"
	client "osv.dev/bindings/go/osvdev"
)

// Online asks the OSV web service for advisories. It learns the names and versions of the packages.
type Online struct{ URL string }

// queryTimeout bounds the first question, which names all packages; one beyond it would be half an answer.
const queryTimeout = 5 * time.Minute

// Check implements Advisories.
func (o Online) Check() error {
	parsed, err := url.Parse(o.URL)
	if err != nil || parsed.Scheme != "https" && parsed.Scheme != "http" || parsed.Host == "" {
		return fmt.Errorf("vulnerabilities: %q is not the address of an OSV service; write https://HOST", o.URL)
	}
	return nil
}

// Match implements Advisories.
func (o Online) Match(ctx context.Context, packages []*extractor.Package, report func([]Hit)) (Matches, error) {
	service := client.DefaultClient()
	service.BaseHostURL = strings.TrimRight(o.URL, "/")
	service.HTTPClient = &http.Client{Timeout: time.Minute}
	service.Config.UserAgent = "portcullis-scan"
	found := inventory.Inventory{Packages: packages}
	if err := osvdev.NewWithClient(service, queryTimeout).Enrich(ctx, nil, &found); err != nil {
		return Matches{}, fmt.Errorf("OSV service %s: %w", o.URL, err)
	}
	hits := map[*extractor.Package][]Hit{}
	for _, hit := range found.PackageVulns {
		if len(hit.ExploitabilitySignals) == 0 {
			hits[hit.Package] = append(hits[hit.Package], Hit{hit.Vulnerability, hit.Package})
		}
	}
	for _, ofPackage := range hits {
		report(ofPackage)
	}
	return Matches{Version: o.URL}, nil
}
