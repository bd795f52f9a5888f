package reports_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

type object = map[string]any

// renderers write a verdict about vulnerabilities as the tools would, for the image that scannertest
// numbers so.
var renderers = map[string]func(scanner.Image, *verdict.Verdict) any{
	"portcullis": portcullis, "trivy": trivy, "grype": grype, "osv-scanner": osvScanner, "cyclonedx": cycloneDX, "harbor": harbor,
}

func render(t *testing.T, format string, v *verdict.Verdict) []byte {
	t.Helper()
	var n int
	_, err := fmt.Sscanf(v.ImageID, "sha256:%x", &n)
	require.NoError(t, err)
	document, err := json.Marshal(renderers[format](scannertest.Image(n), v))
	require.NoError(t, err)
	return document
}

func portcullis(_ scanner.Image, v *verdict.Verdict) any {
	return struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		*verdict.Verdict
	}{verdict.APIVersion, verdict.FileKind, v}
}

func trivy(image scanner.Image, v *verdict.Verdict) any {
	var found []object
	for _, f := range v.Vulnerabilities {
		found = append(found, object{
			"VulnerabilityID": f.ID, "PkgName": f.Package, "InstalledVersion": f.Version, "FixedVersion": f.FixedVersion,
			"Severity": strings.ToUpper(f.Severity.String()), "PkgIdentifier": object{"PURL": purl(f)},
		})
	}
	return object{
		"SchemaVersion": 2, "CreatedAt": v.ScannedAt, "ArtifactType": "container_image",
		"Metadata": object{"ImageID": image.ID, "RepoTags": image.Tags, "RepoDigests": image.Digests, "ImageConfig": object{"os": "linux", "architecture": "amd64"}},
		"Results":  []object{{"Target": "x (debian 12)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": found}},
	}
}

func grype(image scanner.Image, v *verdict.Verdict) any {
	found := []object{}
	for _, f := range v.Vulnerabilities {
		found = append(found, object{
			"vulnerability": object{"id": f.ID, "severity": f.Severity.String(), "fix": object{"versions": []string{f.FixedVersion}, "state": "fixed"}},
			"artifact":      object{"name": f.Package, "version": f.Version, "type": f.Type, "purl": purl(f)},
		})
	}
	return object{
		"matches":    found,
		"source":     object{"type": "image", "target": object{"imageID": image.ID, "tags": image.Tags, "repoDigests": image.Digests, "architecture": "amd64", "os": "linux"}},
		"descriptor": object{"name": "grype", "version": "0.104.0", "timestamp": v.ScannedAt},
	}
}

func osvScanner(_ scanner.Image, v *verdict.Verdict) any {
	var packages []object
	for _, f := range v.Vulnerabilities {
		packages = append(packages, object{
			"package":         object{"name": f.Package, "version": f.Version, "ecosystem": "Debian:12"},
			"vulnerabilities": []object{{"id": "DEBIAN-" + f.ID, "upstream": []string{f.ID}, "ecosystem_specific": object{}, "affected": []object{{"ecosystem_specific": object{"urgency": f.Severity.String()}}}}},
			"groups":          []object{{"ids": []string{"DEBIAN-" + f.ID}, "aliases": []string{f.ID}}},
		})
	}
	return object{"results": []object{{"source": object{"path": "/var/lib/dpkg/status", "type": "os"}, "packages": packages}}}
}

func cycloneDX(image scanner.Image, v *verdict.Verdict) any {
	components, found := []object{}, []object{}
	for _, f := range v.Vulnerabilities {
		components = append(components, object{"bom-ref": purl(f), "name": f.Package, "version": f.Version, "purl": purl(f)})
		found = append(found, object{
			"id": f.ID, "ratings": []object{{"severity": strings.ToLower(f.Severity.String())}}, "affects": []object{{"ref": purl(f)}},
			"recommendation": fmt.Sprintf("Upgrade %s to version %s", f.Package, f.FixedVersion),
		})
	}
	return object{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components, "vulnerabilities": found,
		"metadata": object{"timestamp": v.ScannedAt.Format(time.RFC3339), "component": object{
			"type": "container", "name": image.Tags[0], "properties": []object{{"name": "aquasecurity:trivy:ImageID", "value": image.ID}},
		}},
	}
}

func harbor(image scanner.Image, v *verdict.Verdict) any {
	found := []object{}
	for _, f := range v.Vulnerabilities {
		found = append(found, object{"id": f.ID, "package": f.Package, "version": f.Version, "fix_version": f.FixedVersion, "severity": f.Severity.String()})
	}
	_, digest, _ := strings.Cut(image.Digests[0], "@")
	return object{"generated_at": v.ScannedAt, "artifact": object{"digest": digest}, "scanner": object{"name": "Trivy"}, "vulnerabilities": found}
}

func purl(f verdict.Vulnerability) string {
	return fmt.Sprintf("pkg:%s/debian/%s@%s", f.Type, f.Package, f.Version)
}
