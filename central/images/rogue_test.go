package images_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/centraltest"
	"portcullis/central/nodes/nodestest"
	"portcullis/scanner-client/scannertest"
)

// say lets a node tell of the image numbered 1 by names of its choice.
func say(t *testing.T, node *nodestest.Node, tags, digests []string) {
	t.Helper()
	_, err := node.ReportInventory(ctx, &portcullisv1.ReportInventoryRequest{Added: []*portcullisv1.PresentImage{{Id: scannertest.ImageID(1), Tags: tags, Digests: digests}}})
	require.NoError(t, err)
}

// fill is as many names as central takes, none of them true.
func fill() (tags, digests []string) {
	for i := range 100 {
		tags = append(tags, fmt.Sprintf("evil.example.com/a:%d", i))
		digests = append(digests, fmt.Sprintf("evil.example.com/a@sha256:%064x", i))
	}
	return tags, digests
}

func TestARogueNodeCannotKeepAReportFromAnImageThatOthersHave(t *testing.T) {
	both := map[string]func(t *testing.T, rogue, honest *nodestest.Node){
		"before the others": func(t *testing.T, rogue, honest *nodestest.Node) {
			say(t, rogue, first(fill()), second(fill()))
			has(t, honest, 1)
		},
		"after the others": func(t *testing.T, rogue, honest *nodestest.Node) {
			has(t, honest, 1)
			say(t, rogue, first(fill()), second(fill()))
		},
	}
	for name, report := range both {
		t.Run(name, func(t *testing.T) {
			nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
				editor := c.Operator(access.Editor)
				rogue, honest, another := c.Join("rogue"), c.Join("honest"), c.Join("another")
				report(t, rogue, honest)
				has(t, another, 1)
				stream := honest.Open(t, &portcullisv1.SyncRequest{})
				c.Bundles.Publish(t, c.Store, 1, "")
				centraltest.Eventually(t, func() bool { n, _ := stream.Bundle(); return n == 1 }, "bundle")

				_, answer := upload(t, editor, byTag(scannertest.Image(1).Tags[0], "CVE-2021-44228"))
				require.Equal(t, []string{scannertest.ImageID(1)}, answer.Images)
				centraltest.Eventually(t, func() bool { times, _ := stream.Told(scannertest.ImageID(1)); return times > 0 }, "the honest node is told")
				v, _ := ask(t, honest, present(1))
				require.Len(t, v.Vulnerabilities, 1)
				got := get(t, editor)
				require.Equal(t, "Critical", got.GetImage().GetWorstSeverity())
				require.Equal(t, scannertest.Image(1).Tags, got.GetImage().GetTags())
				require.Equal(t, scannertest.Image(1).Digests, got.GetImage().GetDigests())
				for _, text := range []string{scannertest.Image(1).Tags[0], "evil.example.com/a:7"} {
					list, err := editor.Images.ListImages(ctx, &portcullisv1.ListImagesRequest{Search: text})
					require.NoError(t, err)
					require.Len(t, list.GetImages(), 1, "an image is found by whatever a node calls it")
				}
			})
		})
	}
}

func first(tags, _ []string) []string     { return tags }
func second(_, digests []string) []string { return digests }

func TestARogueNodeCannotMakeAnImageOfOthersLookCleanOrBad(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		editor := c.Operator(access.Editor)
		rogue, honest, another := c.Join("rogue"), c.Join("honest"), c.Join("another")
		upload(t, editor, byTag(scannertest.Image(1).Tags[0], "CVE-2021-44228"))
		upload(t, editor, byTag("clean.example.com/a:1"))
		for range 2 { // the rogue is the first, then one of several
			say(t, rogue, []string{"clean.example.com/a:1"}, nil)
			has(t, honest, 1)
			has(t, another, 1)
			require.Equal(t, "Critical", get(t, editor).GetImage().GetWorstSeverity())
			v, _ := ask(t, another, present(1))
			require.Len(t, v.Vulnerabilities, 1)
		}
	})
}

func TestWhatARemovedNodeSaidOfImagesIsForgotten(t *testing.T) {
	nodestest.Both(t, func(t *testing.T, c *nodestest.Central) {
		editor := c.Operator(access.Editor)
		rogue, honest := c.Join("rogue"), c.Join("honest")
		upload(t, editor, byTag("clean.example.com/a:1"))
		upload(t, editor, byTag(scannertest.Image(1).Tags[0], "CVE-2021-44228"))
		say(t, rogue, []string{"clean.example.com/a:1"}, nil)
		_, err := rogue.ReportInventory(ctx, &portcullisv1.ReportInventoryRequest{Added: []*portcullisv1.PresentImage{{Id: scannertest.ImageID(2), Tags: []string{"clean.example.com/a:1"}}}})
		require.NoError(t, err)
		has(t, honest, 1)
		require.Empty(t, get(t, editor).GetImage().GetWorstSeverity(), "the first of two")

		_, err = c.Operator(access.Admin).Nodes.RemoveNode(ctx, &portcullisv1.RemoveNodeRequest{Id: rogue.ID})
		require.NoError(t, err)
		require.Equal(t, "Critical", get(t, editor).GetImage().GetWorstSeverity())
		only, err := editor.Images.GetImage(ctx, &portcullisv1.GetImageRequest{Id: scannertest.ImageID(2)})
		require.NoError(t, err)
		require.Empty(t, only.GetImage().GetTags())
		require.Equal(t, portcullisv1.ScanState_SCAN_STATE_UNSCANNED, only.GetImage().GetScanState())
		list, err := editor.Images.ListImages(ctx, &portcullisv1.ListImagesRequest{Search: "clean.example.com"})
		require.NoError(t, err)
		require.Empty(t, list.GetImages())
	})
}

func TestTheNamesOfOneNodeAreBounded(t *testing.T) {
	c := nodestest.New(t, "sqlite:"+t.TempDir()+"/central.db")
	rogue := c.Join("rogue")
	tags, digests := fill()
	request := &portcullisv1.ReportInventoryRequest{}
	for i := range 200 {
		request.Added = append(request.Added, &portcullisv1.PresentImage{Id: scannertest.ImageID(i), Tags: tags, Digests: digests})
	}
	for range 2 {
		_, err := rogue.ReportInventory(ctx, request)
		require.NoError(t, err)
		list, err := c.Operator(access.Viewer).Images.ListImages(ctx, &portcullisv1.ListImagesRequest{PageSize: 200})
		require.NoError(t, err)
		names := 0
		for _, image := range list.GetImages() {
			names += len(image.GetTags()) + len(image.GetDigests()) + 1
		}
		require.Len(t, list.GetImages(), 200)
		require.LessOrEqual(t, names, 20_000)
		require.Greater(t, names, 19_000)
	}
}
