package images_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/centraltest"
	"portcullis/central/images"
	"portcullis/central/nodes/nodestest"
	"portcullis/central/store/storetest"
	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ctx = context.Background()

// post uploads a report.
func post(t *testing.T, o *nodestest.Operator, query string, report io.Reader, header ...string) (status int, answer images.Uploaded, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.URL+images.UploadPath+query, report)
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := o.HTTP.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	if response.StatusCode == http.StatusOK {
		require.NoError(t, json.Unmarshal(body, &answer))
	}
	return response.StatusCode, answer, string(body)
}

type report struct {
	ID string `json:"id"`
}

func upload(t *testing.T, o *nodestest.Operator, document []byte) (id string, answer images.Uploaded) {
	t.Helper()
	status, answer, text := post(t, o, "", bytes.NewReader(document))
	require.Equal(t, http.StatusOK, status, text)
	var r report
	require.NoError(t, json.Unmarshal(answer.Report, &r))
	return r.ID, answer
}

// own is a verdict in Portcullis' form.
func own(t *testing.T, n, day int, cves ...string) []byte {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, verdict.Write(&text, scannertest.Verdict(n, day, cves...)))
	return text.Bytes()
}

// byTag is a Trivy report that names its image by a tag only.
func byTag(tag string, cves ...string) []byte {
	return trivy(map[string]any{"RepoTags": []string{tag}}, cves...)
}

func trivy(metadata map[string]any, cves ...string) []byte {
	var found []map[string]string
	for _, cve := range cves {
		found = append(found, map[string]string{"VulnerabilityID": cve, "PkgName": "p", "InstalledVersion": "1", "Severity": "CRITICAL"})
	}
	text, _ := json.Marshal(map[string]any{
		"SchemaVersion": 2, "CreatedAt": "2026-11-02T00:00:00Z", "Metadata": metadata,
		"Results": []any{map[string]any{"Class": "os-pkgs", "Type": "debian", "Vulnerabilities": found}},
	})
	return text
}

func present(n int) *portcullisv1.PresentImage {
	i := scannertest.Image(n)
	return &portcullisv1.PresentImage{Id: i.ID, Tags: i.Tags, Digests: i.Digests}
}

func has(t *testing.T, node *nodestest.Node, numbers ...int) {
	t.Helper()
	request := &portcullisv1.ReportInventoryRequest{Complete: true}
	for _, n := range numbers {
		request.Added = append(request.Added, present(n))
	}
	_, err := node.ReportInventory(ctx, request)
	require.NoError(t, err)
}

// ask is what a node is told of an image.
func ask(t *testing.T, node *nodestest.Node, image *portcullisv1.PresentImage) (*verdict.Verdict, string) {
	t.Helper()
	answer, err := node.GetVerdicts(ctx, &portcullisv1.GetVerdictsRequest{Images: []*portcullisv1.PresentImage{image}})
	require.NoError(t, err)
	require.Len(t, answer.GetVerdicts(), 1)
	told := answer.GetVerdicts()[0]
	require.Equal(t, image.GetId(), told.GetImageId())
	if len(told.GetVerdict()) == 0 {
		return nil, told.GetIncomplete()
	}
	v, err := verdict.ReadPart(bytes.NewReader(told.GetVerdict()))
	require.NoError(t, err)
	return v, told.GetIncomplete()
}

// get is the image numbered 1.
func get(t *testing.T, o *nodestest.Operator) *portcullisv1.GetImageResponse {
	t.Helper()
	answer, err := o.Images.GetImage(ctx, &portcullisv1.GetImageRequest{Id: scannertest.ImageID(1)})
	require.NoError(t, err)
	return answer
}

func TestAReportReachesTheNodesThatHaveTheImageAndNoOthers(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		editor := c.Operator(access.Editor)
		with, without := c.Join("with"), c.Join("without")
		has(t, with, 1, 2)
		has(t, without, 2)
		streams := []*nodestest.Stream{with.Open(t, &portcullisv1.SyncRequest{}), without.Open(t, &portcullisv1.SyncRequest{})}
		c.Bundles.Publish(t, c.Store, 1, "")
		for _, s := range streams { // they are open
			centraltest.Eventually(t, func() bool { n, _ := s.Bundle(); return n == 1 }, "bundle")
		}
		v, _ := ask(t, with, present(1))
		require.Nil(t, v)
		require.Equal(t, portcullisv1.ScanState_SCAN_STATE_UNSCANNED, get(t, editor).GetImage().GetScanState())

		id, answer := upload(t, editor, own(t, 1, 2, "CVE-2026-0001"))
		require.Equal(t, []string{scannertest.ImageID(1)}, answer.Images)
		centraltest.Eventually(t, func() bool {
			times, number := streams[0].Told(scannertest.ImageID(1))
			return times == 1 && number == 1
		}, "told")
		v, incomplete := ask(t, with, present(1))
		require.Empty(t, incomplete)
		require.Equal(t, "CVE-2026-0001", v.Vulnerabilities[0].ID)
		times, _ := streams[1].Told(scannertest.ImageID(1))
		require.Zero(t, times)

		shown := get(t, editor)
		require.Equal(t, portcullisv1.ScanState_SCAN_STATE_PARTIAL, shown.GetImage().GetScanState())
		require.Equal(t, "High", shown.GetImage().GetWorstSeverity())
		require.Equal(t, []string{"with"}, shown.GetImage().GetNodes())
		require.Equal(t, "verdict", shown.GetReports()[0].GetFormat())
		require.Equal(t, scannertest.ImageID(1), shown.GetVerdict().GetFields()["imageID"].GetStringValue())

		_, err := editor.Images.DeleteReport(ctx, &portcullisv1.DeleteReportRequest{Id: id})
		require.NoError(t, err)
		centraltest.Eventually(t, func() bool { times, _ := streams[0].Told(scannertest.ImageID(1)); return times == 2 }, "told of the deletion")
		v, _ = ask(t, with, present(1))
		require.Nil(t, v)
		require.Equal(t, portcullisv1.ScanState_SCAN_STATE_UNSCANNED, get(t, editor).GetImage().GetScanState())
		_, err = editor.Images.DeleteReport(ctx, &portcullisv1.DeleteReportRequest{Id: id})
		centraltest.Code(t, err, connect.CodeNotFound)
	})
}

func TestANodeThatWasAwayIsToldWhatItMissed(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		editor, node := c.Operator(access.Editor), c.Join("n")
		has(t, node, 1, 2)
		upload(t, editor, own(t, 3, 2))
		upload(t, editor, own(t, 2, 2))
		s := node.Open(t, &portcullisv1.SyncRequest{Verdicts: 1})
		centraltest.Eventually(t, func() bool { times, number := s.Told(scannertest.ImageID(2)); return times > 0 && number == 2 }, "told")
		times, _ := s.Told(scannertest.ImageID(1))
		require.Zero(t, times, "nothing became of it")

		unknown := node.Open(t, &portcullisv1.SyncRequest{Verdicts: 99})
		centraltest.Eventually(t, func() bool { _, number := unknown.Told(""); return number == 2 }, "a restored database")
		times, _ = unknown.Told(scannertest.ImageID(1))
		require.NotZero(t, times)
	})
}

func TestAReportThatCameFirstIsFoundWhenTheImageAppears(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		editor, node := c.Operator(access.Editor), c.Join("n")
		_, answer := upload(t, editor, own(t, 1, 2, "CVE-2026-0001"))
		require.Empty(t, answer.Images)
		_, err := editor.Images.GetImage(ctx, &portcullisv1.GetImageRequest{Id: scannertest.ImageID(1)})
		centraltest.Code(t, err, connect.CodeNotFound)
		has(t, node, 1)
		require.EqualValues(t, 1, get(t, editor).GetImage().GetVulnerabilities())
		v, _ := ask(t, node, present(1))
		require.Len(t, v.Vulnerabilities, 1)
	})
}

func TestAnImageThatWasAskedForBeforeItWasReportedIsToldOfLater(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		editor, node := c.Operator(access.Editor), c.Join("n")
		s := node.Open(t, &portcullisv1.SyncRequest{})
		ask(t, node, present(1))
		upload(t, editor, own(t, 1, 2))
		centraltest.Eventually(t, func() bool { times, _ := s.Told(scannertest.ImageID(1)); return times > 0 }, "told")
	})
}

func TestANodeThatLiesAboutNamesDoesNotMakeAnotherNodesImageClean(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	editor, honest, liar := c.Operator(access.Editor), c.Join("honest"), c.Join("liar")
	has(t, honest, 1)
	clean := trivy(map[string]any{"RepoDigests": scannertest.Image(2).Digests, "ImageConfig": map[string]string{"os": "linux", "architecture": "amd64"}})
	upload(t, editor, clean)
	lie := present(1)
	lie.Digests = scannertest.Image(2).Digests
	_, err := liar.ReportInventory(ctx, &portcullisv1.ReportInventoryRequest{Complete: true, Added: []*portcullisv1.PresentImage{lie}})
	require.NoError(t, err)
	v, _ := ask(t, liar, lie)
	require.True(t, v.Covers(verdict.KindVulnerabilities), "of its own image it may believe what it likes")
	v, _ = ask(t, honest, present(1))
	require.Nil(t, v)
}

func TestWhatWasFoundUnderATagCountsAndShowsNothingClean(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	editor, node := c.Operator(access.Editor), c.Join("n")
	has(t, node, 1)
	upload(t, editor, byTag(scannertest.Image(1).Tags[0], "CVE-2026-0007"))
	v, incomplete := ask(t, node, present(1))
	require.Empty(t, incomplete)
	require.Equal(t, "CVE-2026-0007", v.Vulnerabilities[0].ID)
	require.Empty(t, v.Scanned)
	require.Equal(t, "Critical", get(t, editor).GetImage().GetWorstSeverity())
}

func TestReportsMergeByKindAndNewestScan(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	editor, node := c.Operator(access.Editor), c.Join("n")
	has(t, node, 1)
	upload(t, editor, own(t, 1, 3, "CVE-2026-0003"))
	upload(t, editor, own(t, 1, 1, "CVE-2026-0001", "CVE-2026-0002"))
	v, _ := ask(t, node, present(1))
	require.Len(t, v.Vulnerabilities, 1)
	require.Equal(t, "CVE-2026-0003", v.Vulnerabilities[0].ID)
	require.Len(t, get(t, editor).GetReports(), 2)
}

func TestTheSameReportIsKeptOnceAndOldOnesOfAScannerAreDropped(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		editor := c.Operator(access.Editor)
		has(t, c.Join("n"), 1)
		first, _ := upload(t, editor, own(t, 1, 1))
		again, _ := upload(t, editor, own(t, 1, 1))
		require.Equal(t, first, again)
		require.Len(t, get(t, editor).GetReports(), 1)
		for day := 2; day <= 8; day++ {
			upload(t, editor, own(t, 1, day))
		}
		reports := get(t, editor).GetReports()
		require.Len(t, reports, 5)
		require.Equal(t, 8, reports[0].GetScanTime().AsTime().Day())
	})
}

func TestAnUploadThatIsNoGoodIsRefusedAndChangesNothing(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	editor := c.Operator(access.Editor)
	has(t, c.Join("n"), 1)
	var bomb bytes.Buffer
	packed := gzip.NewWriter(&bomb)
	_, err := io.CopyN(packed, zeros{}, 64<<20)
	require.NoError(t, err)
	require.NoError(t, packed.Close())
	good := own(t, 1, 2)
	future := scannertest.Verdict(1, 2)
	future.ScannedAt = c.Clock.Now().Add(48 * time.Hour)
	var ahead bytes.Buffer
	require.NoError(t, verdict.Write(&ahead, future))
	other := "sha256:" + strings.Repeat("f", 64)
	for name, u := range map[string]struct {
		query  string
		body   io.Reader
		header []string
		status int
		says   string
	}{
		"empty":           {"", strings.NewReader(""), nil, 400, "truncated or empty"},
		"HTML":            {"", strings.NewReader("<html>"), nil, 400, "not a report"},
		"unknown":         {"", strings.NewReader(`{"a": 1}`), nil, 400, "not a report that is known"},
		"truncated":       {"", bytes.NewReader(good[:len(good)-5]), nil, 400, "truncated"},
		"SARIF":           {"", strings.NewReader(`{"runs": []}`), nil, 400, "SARIF"},
		"gzip":            {"", bytes.NewReader(bomb.Bytes()), nil, 400, "not a report"},
		"gzip encoding":   {"", bytes.NewReader(bomb.Bytes()), []string{"Content-Encoding", "gzip"}, 415, "not compressed"},
		"deep":            {"", strings.NewReader(`{"SchemaVersion": 2, "x": ` + strings.Repeat("[", 1<<20)), nil, 400, ""},
		"deep in results": {"", strings.NewReader(`{"SchemaVersion": 2, "Results": ` + strings.Repeat(`[{"a":`, 1<<18)), nil, 400, ""},
		"names nothing":   {"", bytes.NewReader(trivy(nil)), nil, 400, "?image=sha256:"},
		"contradiction":   {"?image=" + other, bytes.NewReader(good), nil, 400, "is about"},
		"odd image":       {"?image=nginx", bytes.NewReader(good), nil, 400, "not an image ID"},
		"future":          {"", &ahead, nil, 400, "in the future"},
		"too large":       {"", io.LimitReader(zeros{}, 101<<20), nil, 413, "larger than 100 MiB"},
		"says too large":  {"", sized{bytes.NewReader(make([]byte, 101<<20))}, nil, 413, "larger than 100 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, text := post(t, editor, u.query, u.body, u.header...)
			require.Equal(t, u.status, status, text)
			require.Contains(t, text, u.says)
			require.Less(t, len(text), 1000)
		})
	}
	require.Equal(t, portcullisv1.ScanState_SCAN_STATE_UNSCANNED, get(t, editor).GetImage().GetScanState())
	status, _, _ := post(t, c.Operator(access.Viewer), "", bytes.NewReader(good))
	require.Equal(t, http.StatusForbidden, status)
	status, _, text := post(t, editor, "?image="+scannertest.ImageID(1), bytes.NewReader(trivy(nil, "CVE-2026-0001")))
	require.Equal(t, http.StatusOK, status, text)
	require.EqualValues(t, 1, get(t, editor).GetImage().GetVulnerabilities())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// sized keeps a client from knowing more than the length.
type sized struct{ *bytes.Reader }

func TestInventoriesAreBounded(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	node := c.Join("n")
	many := &portcullisv1.ReportInventoryRequest{Complete: true}
	for n := range 5001 {
		many.Added = append(many.Added, present(n))
	}
	_, err := node.ReportInventory(ctx, many)
	centraltest.Code(t, err, connect.CodeInvalidArgument)
	many.Added = many.GetAdded()[:5000]
	_, err = node.ReportInventory(ctx, many)
	require.NoError(t, err)
	_, err = node.ReportInventory(ctx, &portcullisv1.ReportInventoryRequest{Added: []*portcullisv1.PresentImage{present(9999)}})
	require.NoError(t, err)
	list, err := c.Operator(access.Viewer).Images.ListImages(ctx, &portcullisv1.ListImagesRequest{Present: true, PageSize: 1})
	require.NoError(t, err)
	require.EqualValues(t, 5000, list.GetTotal())
	for name, images := range map[string][]*portcullisv1.PresentImage{
		"odd ID": {{Id: "nginx"}}, "long ID": {{Id: strings.Repeat("a", 1<<20)}}, "upper case": {{Id: "sha256:" + strings.Repeat("A", 64)}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := node.ReportInventory(ctx, &portcullisv1.ReportInventoryRequest{Added: images})
			centraltest.Code(t, err, connect.CodeInvalidArgument)
			_, err = node.GetVerdicts(ctx, &portcullisv1.GetVerdictsRequest{Images: images})
			centraltest.Code(t, err, connect.CodeInvalidArgument)
		})
	}
	_, err = node.GetVerdicts(ctx, &portcullisv1.GetVerdictsRequest{Images: many.GetAdded()[:101]})
	centraltest.Code(t, err, connect.CodeInvalidArgument)
}

func TestNamesThatAreOddOrTooManyAreLeftOut(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		image := &portcullisv1.PresentImage{Id: scannertest.ImageID(1), Tags: []string{"a:1\x00", strings.Repeat("x", 513), "good:1", "<b>:1"}}
		for i := range 200 {
			image.Tags = append(image.Tags, fmt.Sprintf("t:%d", i))
		}
		_, err := c.Join("n").ReportInventory(ctx, &portcullisv1.ReportInventoryRequest{Added: []*portcullisv1.PresentImage{image}})
		require.NoError(t, err)
		tags := get(t, c.Operator(access.Viewer)).GetImage().GetTags()
		require.Len(t, tags, 100)
		require.Contains(t, tags, "good:1")
		require.Contains(t, tags, "<b>:1")
		require.NotContains(t, tags, "a:1\x00")
	})
}

func TestImagesComeAndGoWithInventories(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		viewer, node := c.Operator(access.Viewer), c.Join("n")
		has(t, node, 1, 2, 3)
		_, err := node.ReportInventory(ctx, &portcullisv1.ReportInventoryRequest{Added: []*portcullisv1.PresentImage{present(4)}, RemovedIds: []string{scannertest.ImageID(1), "nonsense"}})
		require.NoError(t, err)
		on := func(r *portcullisv1.ListImagesRequest) (ids []string) {
			list, err := viewer.Images.ListImages(ctx, r)
			require.NoError(t, err)
			for _, i := range list.GetImages() {
				ids = append(ids, i.GetId())
			}
			return ids
		}
		require.Equal(t, []string{scannertest.ImageID(2), scannertest.ImageID(3), scannertest.ImageID(4)}, on(&portcullisv1.ListImagesRequest{Node: "n"}))
		require.Len(t, on(&portcullisv1.ListImagesRequest{}), 4)
		has(t, node, 4)
		require.Equal(t, []string{scannertest.ImageID(4)}, on(&portcullisv1.ListImagesRequest{Present: true}))
		require.Equal(t, []string{scannertest.ImageID(4)}, on(&portcullisv1.ListImagesRequest{Node: node.ID}))
		_, err = c.Operator(access.Admin).Nodes.RemoveNode(ctx, &portcullisv1.RemoveNodeRequest{Id: node.ID})
		require.NoError(t, err)
		require.Empty(t, on(&portcullisv1.ListImagesRequest{Present: true}))
	})
}

func TestImagesAreListedTheWorstFirstAndFiltered(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		editor := c.Operator(access.Editor)
		has(t, c.Join("n"), 1, 2, 3, 4)
		upload(t, editor, own(t, 3, 1, "CVE-2026-0001"))
		upload(t, editor, own(t, 2, 1))
		upload(t, editor, byTag(scannertest.Image(4).Tags[0], "CVE-2026-0009"))
		var order []string
		for token := ""; ; {
			page, err := editor.Images.ListImages(ctx, &portcullisv1.ListImagesRequest{PageSize: 1, PageToken: token})
			require.NoError(t, err)
			require.EqualValues(t, 4, page.GetTotal())
			order = append(order, page.GetImages()[0].GetId())
			if token = page.GetNextPageToken(); token == "" {
				break
			}
		}
		require.Equal(t, []string{scannertest.ImageID(4), scannertest.ImageID(3), scannertest.ImageID(1), scannertest.ImageID(2)}, order)
		for name, f := range map[string]struct {
			request *portcullisv1.ListImagesRequest
			want    int
		}{
			"name": {&portcullisv1.ListImagesRequest{Search: "APP-3"}, 1}, "ID": {&portcullisv1.ListImagesRequest{Search: scannertest.ImageID(2)}, 1},
			"percent": {&portcullisv1.ListImagesRequest{Search: "%"}, 0}, "SQL": {&portcullisv1.ListImagesRequest{Search: "' OR 1=1 --"}, 0},
			"unscanned": {&portcullisv1.ListImagesRequest{ScanStates: []portcullisv1.ScanState{portcullisv1.ScanState_SCAN_STATE_UNSCANNED}}, 1},
			"severity":  {&portcullisv1.ListImagesRequest{Severities: []string{"High", "Critical"}}, 2},
			"no node":   {&portcullisv1.ListImagesRequest{Node: "nobody"}, 0},
		} {
			t.Run(name, func(t *testing.T) {
				list, err := editor.Images.ListImages(ctx, f.request)
				require.NoError(t, err)
				require.Len(t, list.GetImages(), f.want)
			})
		}
		overview, err := editor.Images.GetImageOverview(ctx, &portcullisv1.GetImageOverviewRequest{})
		require.NoError(t, err)
		require.Equal(t, [4]int64{4, 3, 1, 2}, [4]int64{overview.GetTotal(), overview.GetScanned(), overview.GetUnscanned(), overview.GetRisky()})
		for name, r := range map[string]*portcullisv1.ListImagesRequest{
			"size": {PageSize: 201}, "token": {PageToken: "!"}, "search": {Search: strings.Repeat("x", 201)}, "node": {Node: "a\x00"},
			"severity": {Severities: []string{"Bad"}}, "state": {ScanStates: []portcullisv1.ScanState{7}}, "states": {ScanStates: make([]portcullisv1.ScanState, 100)},
		} {
			t.Run("bad "+name, func(t *testing.T) {
				_, err := editor.Images.ListImages(ctx, r)
				centraltest.Code(t, err, connect.CodeInvalidArgument)
			})
		}
	})
}

const blocking = `apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: critical}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Immediate}
  scope: {images: {all: true}}
  risk: {vulnerabilities: {severities: [High]}}
`

func TestAnImageTellsWhatWouldHappenIfItStarted(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	editor := c.Operator(access.Editor)
	has(t, c.Join("n"), 1)
	require.Empty(t, get(t, editor).GetSteps(), "no bundle yet")
	c.Bundles.Publish(t, c.Store, 1, blocking)
	answer := get(t, editor)
	require.Equal(t, portcullisv1.Action_ACTION_UNSPECIFIED, answer.GetAction())
	require.Contains(t, answer.GetSteps()[0].GetSays(), "nothing is known")
	upload(t, editor, own(t, 1, 1, "CVE-2026-0001"))
	answer = get(t, editor)
	require.Equal(t, portcullisv1.Action_ACTION_BLOCK, answer.GetAction())
	require.Contains(t, answer.GetSteps()[0].GetSays(), "CVE-2026-0001")
	c.Bundles.Publish(t, c.Store, 2, "")
	require.Equal(t, portcullisv1.Action_ACTION_UNSPECIFIED, get(t, editor).GetAction())
}

func TestEveryPresentImageIsHandedOnWithNodesAndVerdict(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		editor := c.Operator(access.Editor)
		numbers := make([]int, 250)
		for i := range numbers {
			numbers[i] = i
		}
		has(t, c.Join("a"), numbers...)
		has(t, c.Join("b"), 7)
		upload(t, editor, own(t, 7, 1, "CVE-2026-0001"))
		upload(t, editor, own(t, 1000, 1, "CVE-2026-0001"))
		seen := map[string]bool{}
		require.NoError(t, c.Images.EachPresentImage(ctx, func(p *images.Present) error {
			seen[p.Image.ID] = true
			if p.Image.ID == scannertest.ImageID(7) {
				require.Len(t, p.Nodes, 2)
				require.Len(t, p.Verdict.Vulnerabilities, 1)
				require.Equal(t, scannertest.Image(7).Tags, p.Image.Tags)
			} else {
				require.Nil(t, p.Verdict)
			}
			return nil
		}))
		require.Len(t, seen, 250)
		image, v, err := c.Images.KnownImage(ctx, scannertest.ImageID(5000))
		require.NoError(t, err)
		require.Nil(t, v)
		require.Empty(t, image.Tags)
	})
}

func TestAReportUploadedAtOneReplicaIsToldByTheOther(t *testing.T) {
	database := storetest.Postgres(t)
	one := nodestest.New(t, database)
	other := one.Replica(database)
	joined := one.Join("n")
	node := other.Node(joined.ID, "n", joined.Certificate)
	s := node.Open(t, &portcullisv1.SyncRequest{})
	has(t, node, 1)
	upload(t, one.Operator(access.Editor), own(t, 1, 1, "CVE-2026-0001"))
	centraltest.Eventually(t, func() bool { times, _ := s.Told(scannertest.ImageID(1)); return times > 0 }, "told")
	v, _ := ask(t, node, present(1))
	require.Len(t, v.Vulnerabilities, 1)
}
