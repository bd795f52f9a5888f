package main

import "portcullis/scanner-client/verdict"

// unscanned is an image that nothing is known of.
const unscanned = "tools/debug"

// findings are the images of the node and what is in them.
var findings = map[string]verdict.Verdict{
	"shop/web": {},
	"shop/cart": {Vulnerabilities: []verdict.Vulnerability{
		{ID: "CVE-2021-44228", Severity: verdict.Critical, Package: "log4j-core", Version: "2.14.1", FixedVersion: "2.17.1", Type: "maven", Path: "app/cart.jar", CWEs: []int{502}},
		{ID: "CVE-2022-0778", Severity: verdict.High, Package: "openssl", Version: "1.1.1k-1", FixedVersion: "1.1.1n-0", Type: "deb"},
		{ID: "CVE-2019-8457", Severity: verdict.Medium, Package: "libdb5.3", Version: "5.3.28-1", Type: "deb"},
	}},
	"tools/agent": {Malware: []verdict.Malware{{
		Path: "/usr/bin/xmrig", MD5: "44d88612fea8a8f36de82e1278abb02f", SHA256: "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f",
		Signature: "Multios.Coinminer.Miner-6781728-2", Engine: "clamav", Type: "miner", Severity: verdict.High,
	}}},
	"shop/billing": {Secrets: []verdict.Secret{{
		Path: "/srv/.aws/credentials", Rule: "aws-access-key-id", Type: "cloud-access-key", Level: verdict.Critical, Redacted: "AKIA****",
		SHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	}}},
}
