// Package osvtest answers: how does a test get an OSV database with just these advisories?
package osvtest

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Advisories are OSV documents by ecosystem without release, such as "Debian".
type Advisories map[string][]string

// Write makes a database and returns its folder.
func Write(t testing.TB, advisories Advisories) string {
	t.Helper()
	folder := t.TempDir()
	for ecosystem, documents := range advisories {
		dir := filepath.Join(folder, "osv-scalibr", ecosystem)
		require.NoError(t, os.MkdirAll(dir, 0o750))
		file, err := os.Create(filepath.Join(dir, "all.zip"))
		require.NoError(t, err)
		archive := zip.NewWriter(file)
		for i, document := range documents {
			var named struct{ ID string }
			if json.Unmarshal([]byte(document), &named) != nil || named.ID == "" {
				named.ID = fmt.Sprintf("broken-%d", i)
			}
			w, err := archive.Create(named.ID + ".json")
			require.NoError(t, err)
			_, err = w.Write([]byte(document))
			require.NoError(t, err)
		}
		require.NoError(t, archive.Close())
		require.NoError(t, file.Close())
	}
	return folder
}

// The advisories of a few weaknesses that are well known, shortened.
const (
	// Log4Shell affects org.apache.logging.log4j:log4j-core from 2.13.0 up to 2.15.0.
	Log4Shell = `{"schema_version": "1.7.3", "id": "GHSA-jfh8-c2jp-5v3q", "aliases": ["CVE-2021-44228"],
		"published": "2021-12-10T00:40:56Z", "modified": "2026-01-02T03:04:05Z",
		"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}],
		"affected": [{"package": {"ecosystem": "Maven", "name": "org.apache.logging.log4j:log4j-core"},
			"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "2.13.0"}, {"fixed": "2.15.0"}]}]}],
		"database_specific": {"severity": "CRITICAL", "cwe_ids": ["CWE-20", "CWE-400", "CWE-502", "CWE-917"]}}`

	// Lodash affects lodash before 4.17.21.
	Lodash = `{"schema_version": "1.7.3", "id": "GHSA-35jh-r3h4-6jhm", "aliases": ["CVE-2021-23337"],
		"published": "2021-05-06T16:05:51Z", "modified": "2025-08-12T00:00:00Z",
		"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H"}],
		"affected": [{"package": {"ecosystem": "npm", "name": "lodash"},
			"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "4.17.21"}]}]}],
		"database_specific": {"severity": "HIGH", "cwe_ids": ["CWE-94"]}}`

	// Requests affects requests from 2.3.0 up to 2.31.0; RequestsOfPyPA is about the same.
	Requests = `{"schema_version": "1.7.3", "id": "GHSA-j8r2-6x86-q33q", "aliases": ["CVE-2023-32681", "PYSEC-2023-74"],
		"published": "2023-05-22T20:36:32Z", "modified": "2025-02-13T00:00:00Z",
		"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:C/C:H/I:N/A:N"}],
		"affected": [{"package": {"ecosystem": "PyPI", "name": "requests"},
			"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "2.3.0"}, {"fixed": "2.31.0"}]}]}],
		"database_specific": {"severity": "MODERATE", "cwe_ids": ["CWE-200"]}}`
	RequestsOfPyPA = `{"schema_version": "1.7.3", "id": "PYSEC-2023-74", "aliases": ["CVE-2023-32681", "GHSA-j8r2-6x86-q33q"],
		"published": "2023-05-26T18:15:00Z", "modified": "2023-06-05T01:13:00Z",
		"affected": [{"package": {"ecosystem": "PyPI", "name": "requests"},
			"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "2.3.0"}, {"fixed": "2.31.0"}]}], "versions": ["2.30.0"]}]}`

	// DebianOpenSSL affects what is built from openssl before 3.0.9-1 in Debian 12.
	DebianOpenSSL = `{"schema_version": "1.7.3", "id": "DEBIAN-CVE-2023-2650", "upstream": ["CVE-2023-2650"],
		"published": "2023-05-30T14:15:09Z", "modified": "2025-11-20T10:13:00Z",
		"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}],
		"affected": [{"package": {"ecosystem": "Debian:11", "name": "openssl"},
				"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1.1n-0+deb11u5"}]}]},
			{"package": {"ecosystem": "Debian:12", "name": "openssl"},
				"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.9-1"}]}],
				"ecosystem_specific": {"urgency": "not yet assigned"}}]}`
)
