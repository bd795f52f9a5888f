package e2e

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

func TestReportOfEachToolBlocksUntilItIsCleanAgain(t *testing.T) {
	onEachRuntimeWith(t, onlyScanned, lab.PortcullisdOptions{SourceFailed: "Block"}, func(n *node) {
		pod := n.pod(lab.Pod{Name: "shop"})
		id, _ := n.image("tools")
		for tool, report := range map[string]func(*runtime.Image, ...object) object{
			"trivy": trivyByID, "grype": grypeByDigest, "osv-scanner": osvScanner, "cyclonedx": cycloneDXByID,
		} {
			container := lab.Container{Name: tool, Image: id}
			file := tool + ".json"
			if tool == "osv-scanner" { // which does not write what it has scanned
				file = strings.Replace(id, ":", "-", 1) + ".json"
			}
			n.answers(pod, container, notScanned)

			n.report(file, report(n.held(id), findings[tool]))
			text := n.answers(pod, container, "CVE-2021-44228")
			for _, word := range []string{"Critical", "log4j-core", "2.14.1", "2.15.0"} {
				require.Contains(n.t, text, word, tool)
			}

			n.report(file, report(n.held(id)))
			if tool == "cyclonedx" { // which cannot say that nothing was found
				n.answers(pod, container, notScanned)
			} else {
				n.answers(pod, container, "")
			}
			require.NoError(n.t, n.RemoveReport(file))
		}
	})
}

func TestReportCountsAsFarAsItIsAboutTheImage(t *testing.T) {
	onEachRuntime(t, onlyScanned, func(n *node) {
		pod := n.pod(lab.Pod{Name: "shop"})
		id, reference := n.image("named")
		container := lab.Container{Name: "web", Image: id}
		image := n.held(id)
		require.NotEmpty(n.t, image.GetRepoDigests())
		const risky, clean = true, false
		for _, report := range []struct {
			about  string
			source object
			risky  bool
			want   string // in the refusal; "" for none
			logged string
		}{
			{"its ID", object{"imageID": id}, risky, "CVE-2021-44228", ""},
			{"its digest on another platform", platform("arm64", object{"repoDigests": image.GetRepoDigests()}), risky, notScanned, "it is about another platform, linux/arm64"},
			{"its digest on this platform", platform("amd64", object{"repoDigests": image.GetRepoDigests()}), risky, "CVE-2021-44228", ""},
			{"its digest on this platform", platform("amd64", object{"repoDigests": image.GetRepoDigests()}), clean, "", ""},
			{"its digest", object{"repoDigests": image.GetRepoDigests()}, clean, notScanned, "a digest that may be an index"},
			{"its digest", object{"repoDigests": image.GetRepoDigests()}, risky, "CVE-2021-44228", ""},
			{"another image that had its tag", object{"imageID": "sha256:" + strings.Repeat("0", 64), "tags": []string{reference}}, risky, notScanned, "it is about another image, which had the same tag"},
			{"its tag", object{"tags": []string{reference}}, risky, "CVE-2021-44228", "it names the image by tag only"},
			{"its tag", object{"tags": []string{reference}}, clean, notScanned, ""},
			{"its ID", object{"imageID": id}, clean, "", ""},
		} {
			var found []object
			if report.risky {
				found = append(found, findings["grype"])
			}
			n.report("grype.json", grype(report.source, found...))

			n.answers(pod, container, report.want)
			n.logs(report.logged)
		}
	})
}

func TestReportThatBreaksDoesNotRelax(t *testing.T) {
	options := lab.PortcullisdOptions{SourceFailed: "Block"}
	onEachRuntimeWith(t, noCriticals, options, func(n *node) {
		id, _ := n.image("risky")
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id}
		n.report("older.json", trivyByID(n.held(id)))
		n.answers(pod, container, "")
		report := trivyByID(n.held(id), findings["trivy"])
		n.report("trivy.json", report)
		n.answers(pod, container, "CVE-2021-44228")

		whole, err := json.Marshal(report)
		require.NoError(n.t, err)
		require.NoError(n.t, n.WriteReport("trivy.json", whole[:len(whole)/2]))

		n.answers(pod, container, notHad)
		n.logs("report is not used")
		require.Equal(n.t, 1.0, n.metric("portcullis_verdict_files_broken"))

		n.report("trivy.json", report)
		n.answers(pod, container, "CVE-2021-44228")
		require.NotEmpty(n.t, n.events("PORTCULLIS_REASON=source-failed", "PORTCULLIS_ACTION=block", "PORTCULLIS_IMAGE_ID="+id))
	})
}

func TestNewReportThatIsRefusedIsNotAnImageThatNobodyScanned(t *testing.T) {
	options := lab.PortcullisdOptions{SourceFailed: "Block"}
	onEachRuntimeWith(t, noCriticals, options, func(n *node) {
		id, _ := n.image("refused")
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id}
		n.answers(pod, container, "") // nobody has
		image := n.held(id)
		whole, err := json.Marshal(trivyByID(image, findings["trivy"]))
		require.NoError(n.t, err)

		cut := strings.Index(string(whole), `"VulnerabilityID"`)
		require.NoError(n.t, n.WriteReport("trivy.json", whole[:cut]))
		n.answers(pod, container, notHad)

		require.NoError(n.t, n.WriteReport("trivy.json", whole[:len(whole)-2]))
		n.answers(pod, container, "CVE-2021-44228") // what was found before the end counts

		long := maps.Clone(findings["trivy"])
		long["PkgPath"] = strings.Repeat("x", 10_000)
		n.report("trivy.json", trivyByID(image, long))
		n.answers(pod, container, "CVE-2021-44228")
		n.logs("are shortened")
	})
}

func TestReportByATagThatTheImageGotLaterCounts(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("retagged")
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{Name: "web", Image: id}
		reference, err := world.push(n.Node+"/retagged:later", n.Node+" retagged", "print", "hello")
		require.NoError(n.t, err)
		n.report("malware.json", object{ // a verdict, so that the answer is believed for longer than this test takes
			"apiVersion": "portcullis/v1", "kind": "Verdict", "imageID": id,
			"scanner": object{"name": "lab"}, "scannedAt": time.Now(), "scanned": []string{"malware"},
		})
		n.report("tag.json", grype(object{"tags": []string{reference}}, findings["grype"]))
		n.knowsVerdicts(2)
		n.answers(pod, container, "")

		_, err = n.cri.Images.PullImage(n.ctx, &runtime.PullImageRequest{Image: &runtime.ImageSpec{Image: reference}})
		require.NoError(n.t, err)
		require.Equal(n.t, id, n.held(reference).GetId())

		n.answers(pod, container, "CVE-2021-44228")
	})
}

// report puts a report into the reports folder.
func (n *node) report(file string, report object) {
	n.t.Helper()
	text, err := json.Marshal(report)
	require.NoError(n.t, err)
	require.NoError(n.t, n.WriteReport(file, text))
}

// answers waits until a container is refused with these words, or created if there are none, and returns
// the refusal.
func (n *node) answers(pod *lab.Sandbox, container lab.Container, words string) (refusal string) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		id, err := n.cri.Create(n.ctx, pod, container)
		if err == nil {
			_, err := n.direct.Runtime.RemoveContainer(n.ctx, &runtime.RemoveContainerRequest{ContainerId: id})
			require.NoError(n.t, err)
		}
		refusal = ""
		if err != nil {
			refusal = n.refused(err)
		}
		if (words == "") == (refusal == "") && strings.Contains(refusal, words) {
			return refusal
		}
		require.True(n.t, time.Now().Before(deadline), "wanted %q, got %v", words, status.Convert(err))
	}
}

// logs waits until the daemon has logged these words.
func (n *node) logs(words string) {
	n.t.Helper()
	require.Eventually(n.t, func() bool { return strings.Contains(n.Log(), words) }, patience, 20*time.Millisecond, words)
}

// notScanned stands in the refusal of an image that nobody has looked at.
const notScanned = "not scanned for vulnerabilities"

// onlyScanned blocks what has not been looked at.
var onlyScanned = noCriticals + "  unscanned: Block\n"

type object = map[string]any

// findings is one finding as each tool writes it.
var findings = map[string]object{
	"trivy": {
		"VulnerabilityID": "CVE-2021-44228", "PkgName": "org.apache.logging.log4j:log4j-core", "PkgPath": "opt/app.jar",
		"InstalledVersion": "2.14.1", "FixedVersion": "2.15.0", "Severity": "CRITICAL",
		"PkgIdentifier": object{"PURL": log4jCore},
	},
	"grype": {
		"vulnerability":          object{"id": "GHSA-jfh8-c2jp-5v3q", "severity": "Critical", "fix": object{"versions": []string{"2.15.0"}, "state": "fixed"}},
		"relatedVulnerabilities": []object{{"id": "CVE-2021-44228"}},
		"artifact":               object{"name": "log4j-core", "version": "2.14.1", "type": "java-archive", "purl": log4jCore},
	},
	"osv-scanner": {
		"package": object{"name": "org.apache.logging.log4j:log4j-core", "version": "2.14.1", "ecosystem": "Maven"},
		"vulnerabilities": []object{{
			"id": "GHSA-jfh8-c2jp-5v3q", "aliases": []string{"CVE-2021-44228"}, "database_specific": object{"severity": "CRITICAL"},
			"affected": []object{{
				"package": object{"name": "org.apache.logging.log4j:log4j-core", "ecosystem": "Maven"},
				"ranges":  []object{{"type": "ECOSYSTEM", "events": []object{{"introduced": "2.13.0"}, {"fixed": "2.15.0"}}}},
			}},
		}},
		"groups": []object{{"ids": []string{"GHSA-jfh8-c2jp-5v3q"}, "aliases": []string{"CVE-2021-44228"}, "max_severity": "10.0"}},
	},
	"cyclonedx": {
		"id": "CVE-2021-44228", "ratings": []object{{"severity": "critical"}}, "affects": []object{{"ref": log4jCore}},
		"recommendation": "Upgrade org.apache.logging.log4j:log4j-core to version 2.15.0", "analysis": object{"state": "exploitable"},
	},
}

const log4jCore = "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"

func trivyByID(image *runtime.Image, found ...object) object {
	return object{
		"SchemaVersion": 2, "CreatedAt": time.Now(), "ArtifactName": "shop", "ArtifactType": "container_image",
		"Metadata": object{"ImageID": image.GetId(), "ImageConfig": object{"os": "linux", "architecture": "amd64"}},
		"Results":  []object{{"Target": "Java", "Class": "lang-pkgs", "Type": "jar", "Vulnerabilities": found}},
	}
}

func grypeByDigest(image *runtime.Image, found ...object) object {
	return grype(platform("amd64", object{"repoDigests": image.GetRepoDigests()}), found...)
}

// grype is a report about an image that its target names.
func grype(target object, found ...object) object {
	return object{
		"matches":    append([]object{}, found...),
		"source":     object{"type": "image", "target": target},
		"descriptor": object{"name": "grype", "version": "0.104.0", "timestamp": time.Now()},
	}
}

func platform(architecture string, target object) object {
	target["os"], target["architecture"] = "linux", architecture
	return target
}

func osvScanner(_ *runtime.Image, found ...object) object {
	results := []object{}
	if len(found) > 0 {
		results = append(results, object{"source": object{"path": "opt/app.jar", "type": "artifact"}, "packages": found})
	}
	return object{"results": results}
}

func cycloneDXByID(image *runtime.Image, found ...object) object {
	return object{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"metadata": object{"timestamp": time.Now().Format(time.RFC3339), "component": object{
			"type": "container", "name": "shop", "properties": []object{{"name": "aquasecurity:trivy:ImageID", "value": image.GetId()}},
		}},
		"components":      []object{{"bom-ref": log4jCore, "type": "library", "group": "org.apache.logging.log4j", "name": "log4j-core", "version": "2.14.1", "purl": log4jCore}},
		"vulnerabilities": append([]object{}, found...),
	}
}
