package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"portcullis/e2e/lab"
)

// contents is what makes each image worth a scanner's look.
func contents() (map[string]lab.Content, error) {
	key, err := privateKey()
	if err != nil {
		return nil, err
	}
	return map[string]lab.Content{
		"sandbox": {Arguments: []string{"pause"}},
		"clean":   {Arguments: []string{"print", "I am clean"}},
		"vulnerable": {
			Arguments: []string{"print", "I am vulnerable"},
			Files: map[string]string{
				"usr/lib/python3/site-packages/PyYAML-5.3.dist-info/METADATA": "Metadata-Version: 2.1\nName: PyYAML\nVersion: 5.3\n",
			},
		},
		"infected": {Arguments: []string{"print", "I am infected"}, Files: map[string]string{"opt/tool": eicar}},
		"leaking":  {Arguments: []string{"print", "I am leaking"}, Files: map[string]string{"root/.ssh/id_rsa": key}},
		"careless": {Arguments: []string{"print", "I am careless"}, Env: []string{"DB_PASSWORD=" + rand.Text()}},
	}, nil
}

// eicar is the industry's harmless test file, put together here so that no scanner takes this file for it.
const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-` + `ANTIVIRUS-TEST-FILE!$H+H*`

func privateKey() (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", fmt.Errorf("private key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})), nil
}

// advisory is what the world knows of PyYAML 5.3, as OSV publishes it, shortened.
const advisory = `{"schema_version": "1.7.3", "id": "GHSA-8q59-q68h-6hv4", "aliases": ["CVE-2020-14343", "PYSEC-2021-142"],
"published": "2021-03-25T21:26:26Z", "modified": "2024-10-09T19:58:12Z",
"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
"affected": [{"package": {"ecosystem": "PyPI", "name": "pyyaml"},
  "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "5.4"}]}]}],
"database_specific": {"severity": "CRITICAL", "cwe_ids": ["CWE-20"]}}`

// advisories is an OSV database: PyPI with the one, Go with none.
var advisories = map[string]map[string]string{"PyPI": {"GHSA-8q59-q68h-6hv4.json": advisory}, "Go": {}}
