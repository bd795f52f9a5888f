package scan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/osv-scalibr/extractor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"portcullis/cmd/portcullis-scan/image"
	"portcullis/cmd/portcullis-scan/image/imagetest"
	"portcullis/cmd/portcullis-scan/malware"
	"portcullis/cmd/portcullis-scan/malware/clamdtest"
	"portcullis/cmd/portcullis-scan/rootfs"
	"portcullis/cmd/portcullis-scan/scan"
	"portcullis/cmd/portcullis-scan/vulnerabilities"
	"portcullis/cmd/portcullis-scan/vulnerabilities/osvtest"
	"portcullis/scanner-client/verdict"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type noProgress struct{}

func (noProgress) Step(string, int64) {}
func (noProgress) Read(int)           {}

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// options look for everything, with a database that knows lodash and the clamd at the address.
func options(t *testing.T, clamd string) scan.Options {
	t.Helper()
	address, err := malware.ParseAddress(clamd)
	require.NoError(t, err)
	return scan.Options{
		Kinds: verdict.Kinds(), Advisories: vulnerabilities.Offline{Folder: osvtest.Write(t, osvtest.Advisories{"npm": {osvtest.Lodash}})},
		Clamd: address, Limits: rootfs.DefaultLimits, Temp: t.TempDir(), Version: "test", Now: func() time.Time { return now }, Progress: noProgress{},
	}
}

func lodash() imagetest.Entry {
	return imagetest.File("node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.20"}`)
}

// risky is an image with one finding of each kind, and an overridden one of each.
func risky(t *testing.T) *image.Image {
	t.Helper()
	layers := []v1.Layer{
		imagetest.Layer(t, lodash(), imagetest.File("old/eicar", clamdtest.EICAR), imagetest.File("old/.env", "DB_PASSWORD=old-and-overridden")),
		imagetest.Layer(t, imagetest.File("tmp/eicar", clamdtest.EICAR), imagetest.File("app/.env", "DB_PASSWORD=correct-horse-battery"), imagetest.Whiteout("old")),
	}
	return imagetest.Open(t, layers...)
}

func TestARiskyImage(t *testing.T) {
	clamd := clamdtest.Start(t, clamdtest.Signatures{clamdtest.EICAR: "Eicar-Test-Signature"})
	img := risky(t)
	result, err := scan.Run(context.Background(), img, options(t, clamd))
	require.NoError(t, err)
	require.Empty(t, result.NotScanned)
	require.Empty(t, result.Problems)
	v := result.Verdict
	require.Equal(t, img.ID, v.ImageID)
	require.Equal(t, now, v.ScannedAt)
	require.Equal(t, verdict.Kinds(), v.Scanned)
	require.Equal(t, "portcullis-scan", v.Scanner.Name)
	require.Regexp(t, `^OSV 2025-08-12T00:00:00Z; ClamAV \d`, v.Scanner.Database)
	require.Len(t, v.Vulnerabilities, 1)
	require.Len(t, v.Malware, 1)
	require.Equal(t, "tmp/eicar", v.Malware[0].Path)
	require.Equal(t, "44d88612fea8a8f36de82e1278abb02f", v.Malware[0].MD5)
	require.Len(t, v.Secrets, 1)
	require.Equal(t, "app/.env", v.Secrets[0].Path)
	worst, findings := result.Worst()
	require.Equal(t, verdict.High, worst)
	require.Equal(t, 3, findings)
	var file bytes.Buffer
	require.NoError(t, verdict.Write(&file, v))
	_, err = verdict.Read(&file)
	require.NoError(t, err)
}

func TestFindingNothingIsAVerdict(t *testing.T) {
	clamd := clamdtest.Start(t, clamdtest.Signatures{clamdtest.EICAR: "Eicar-Test-Signature"})
	for name, layers := range map[string][]v1.Layer{"no layers": nil, "clean": {imagetest.Layer(t, imagetest.File("hello", "world"))}} {
		t.Run(name, func(t *testing.T) {
			result, err := scan.Run(context.Background(), imagetest.Open(t, layers...), options(t, clamd))
			require.NoError(t, err)
			require.Equal(t, verdict.Kinds(), result.Verdict.Scanned)
			_, findings := result.Worst()
			require.Zero(t, findings)
		})
	}
}

func TestAKindThatCannotBeLookedForIsNotClean(t *testing.T) {
	img := imagetest.Open(t, imagetest.Layer(t, lodash(), imagetest.File("app/.env", "DB_PASSWORD=correct-horse-battery")))
	none := "unix://" + filepath.Join(t.TempDir(), "none.sock")
	for name, c := range map[string]struct {
		spoil   func(*scan.Options)
		scanned []verdict.Kind
		want    string
	}{
		"no clamd":            {func(*scan.Options) {}, []verdict.Kind{verdict.KindVulnerabilities, verdict.KindSecrets}, "clamd: dial unix"},
		"clamd that hangs up": {func(o *scan.Options) { o.Clamd = dying(t) }, []verdict.Kind{verdict.KindVulnerabilities, verdict.KindSecrets}, "clamd tcp://"},
		"no database": {func(o *scan.Options) {
			o.Advisories = vulnerabilities.Offline{Folder: t.TempDir()}
			o.Kinds = o.Kinds[:1:1]
			o.Kinds = append(o.Kinds, verdict.KindSecrets)
		}, []verdict.Kind{verdict.KindSecrets}, "no OSV database"},
		"database that fails": {func(o *scan.Options) {
			o.Advisories = failing{}
			o.Kinds = []verdict.Kind{verdict.KindVulnerabilities, verdict.KindSecrets}
		}, []verdict.Kind{verdict.KindSecrets}, "out of order"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, none)
			c.spoil(&o)
			_, err := scan.Run(context.Background(), img, o)
			require.ErrorContains(t, err, c.want)

			o.AllowPartial = true
			result, err := scan.Run(context.Background(), img, o)
			require.NoError(t, err)
			require.Equal(t, c.scanned, result.Verdict.Scanned)
			require.Len(t, result.NotScanned, 1)
			require.ErrorContains(t, result.NotScanned[0], c.want)
			require.Len(t, result.Verdict.Secrets, 1)
			var file bytes.Buffer
			require.NoError(t, verdict.Write(&file, result.Verdict))
			_, err = verdict.Read(&file)
			require.NoError(t, err)
		})
	}
}

func TestAVerdictThatSaysNothingIsAnError(t *testing.T) {
	o := options(t, "unix:///nowhere.sock")
	o.AllowPartial, o.Kinds = true, []verdict.Kind{verdict.KindMalware}
	_, err := scan.Run(context.Background(), imagetest.Open(t), o)
	require.ErrorContains(t, err, "no kind of risk could be looked for")
	require.ErrorContains(t, err, "nowhere.sock")
}

func TestOnlyWhatIsAskedForIsLookedFor(t *testing.T) {
	o := options(t, "unix:///nowhere.sock")
	o.Kinds = []verdict.Kind{verdict.KindSecrets}
	result, err := scan.Run(context.Background(), risky(t), o)
	require.NoError(t, err)
	require.Equal(t, o.Kinds, result.Verdict.Scanned)
	require.Empty(t, result.Verdict.Vulnerabilities)
	require.Len(t, result.Verdict.Secrets, 1)
}

func TestAnImageBeyondTheLimitsHasNoVerdict(t *testing.T) {
	o := options(t, "unix:///nowhere.sock")
	o.Kinds, o.AllowPartial, o.Limits.Bytes = []verdict.Kind{verdict.KindSecrets}, true, 1000
	_, err := scan.Run(context.Background(), risky(t), o)
	var beyond *rootfs.LimitError
	require.ErrorAs(t, err, &beyond)
}

func TestAnInterruptedScanIsNoPartialVerdict(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	o := options(t, clamdtest.Start(t, clamdtest.Signatures{clamdtest.EICAR: "Eicar"}))
	o.AllowPartial = true
	_, err := scan.Run(ctx, risky(t), o)
	require.ErrorIs(t, err, context.Canceled)
}

// A kind of which something was skipped is not clean; what was found counts all the same.
func TestAKindOfWhichSomethingWasSkippedIsNotScanned(t *testing.T) {
	clamd := clamdtest.Start(t, clamdtest.Signatures{clamdtest.EICAR: "Eicar-Test-Signature"})
	for name, c := range map[string]struct {
		change  func(*scan.Options)
		scanned []verdict.Kind
		skipped verdict.Skipped
	}{
		"a file larger than clamd is shown": {
			func(o *scan.Options) { o.SkipLarger = 1000 }, []verdict.Kind{verdict.KindVulnerabilities, verdict.KindSecrets},
			verdict.Skipped{Kind: verdict.KindMalware, What: "1 files larger than 1000 bytes, which clamd was not shown, as --clamd-skip-larger says"},
		},
		"an ecosystem": {
			func(o *scan.Options) { o.Without = []string{"npm", "PyPI"} }, []verdict.Kind{verdict.KindMalware, verdict.KindSecrets},
			verdict.Skipped{Kind: verdict.KindVulnerabilities, What: "1 packages of npm, as --without says"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			img := imagetest.Open(t, imagetest.Layer(t, lodash(), imagetest.File("tmp/eicar", clamdtest.EICAR), imagetest.File("large", strings.Repeat("x", 1001))))
			o := options(t, clamd)
			c.change(&o)
			result, err := scan.Run(context.Background(), img, o)
			require.NoError(t, err)
			require.Equal(t, c.scanned, result.Verdict.Scanned)
			require.Equal(t, []verdict.Skipped{c.skipped}, result.Verdict.Skipped)
			require.Len(t, result.Verdict.Malware, 1, "what was found of it")
			var file bytes.Buffer
			require.NoError(t, verdict.Write(&file, result.Verdict))
			_, err = verdict.Read(&file)
			require.NoError(t, err)

			o.AcceptSkipped = true
			result, err = scan.Run(context.Background(), img, o)
			require.NoError(t, err)
			require.Equal(t, verdict.Kinds(), result.Verdict.Scanned)
			require.Equal(t, []verdict.Skipped{c.skipped}, result.Verdict.Skipped)
		})
	}
	o := options(t, clamd)
	o.SkipLarger, o.Without = 1<<20, []string{"PyPI"}
	result, err := scan.Run(context.Background(), risky(t), o)
	require.NoError(t, err)
	require.Equal(t, verdict.Kinds(), result.Verdict.Scanned, "nothing was skipped")
	require.Empty(t, result.Verdict.Skipped)
}

func TestAVerdictStaysReadableWhateverIsFound(t *testing.T) {
	var file strings.Builder
	for i := range 20_100 {
		fmt.Fprintf(&file, "DB_PASSWORD_%d=correct-horse-%d\n", i, i)
	}
	o := options(t, "unix:///nowhere.sock")
	o.Kinds = []verdict.Kind{verdict.KindSecrets}
	result, err := scan.Run(context.Background(), imagetest.Open(t, imagetest.Layer(t, imagetest.File(".env", file.String()))), o)
	require.NoError(t, err)
	require.Len(t, result.Verdict.Secrets, 20_000)
	require.Equal(t, []verdict.Skipped{{Kind: verdict.KindSecrets, What: "about 100 findings, the mildest, which are more than a verdict holds"}}, result.Verdict.Skipped)
	require.Empty(t, result.Verdict.Scanned)
	var written bytes.Buffer
	require.NoError(t, verdict.Write(&written, result.Verdict))
	_, err = verdict.Read(&written)
	require.NoError(t, err)
}

// failing is a database that is there and does not answer.
type failing struct{}

func (failing) Check() error { return nil }
func (failing) Match(context.Context, []*extractor.Package, func([]vulnerabilities.Hit)) (vulnerabilities.Matches, error) {
	return vulnerabilities.Matches{}, errors.New("out of order")
}

// dying is a clamd that says its version and then hangs up on files.
func dying(t *testing.T) malware.Clamd {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			command := make([]byte, 10)
			n, _ := io.ReadFull(connection, command[:9])
			if string(command[:n]) == "zVERSION\x00" {
				_, _ = io.WriteString(connection, "ClamAV 1.4.6\x00")
			}
			connection.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	address, err := malware.ParseAddress("tcp://" + listener.Addr().String())
	require.NoError(t, err)
	return address
}
