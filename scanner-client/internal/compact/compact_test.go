package compact_test

import (
	"bufio"
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/internal/compact"
	"portcullis/scanner-client/verdict"
)

const imageID = "sha256:1"

// whole is a verdict in which every field is set.
func whole() *verdict.Verdict {
	at := time.Date(2026, 11, 2, 10, 20, 30, 40, time.UTC)
	return &verdict.Verdict{
		ImageID: imageID, Scanner: verdict.Scanner{Name: "n", Version: "v", Database: "d"}, ScannedAt: at, Scanned: verdict.Kinds(),
		Vulnerabilities: []verdict.Vulnerability{
			{ID: "CVE-2024-0001", Aliases: []string{"a", ""}, Severity: verdict.Critical, Package: "p", Version: "1", FixedVersion: "2", Type: "deb", Path: "/p", CWEs: []int{79, 1336}, Labels: []string{"fixable"}, PublishedAt: at, FixedAt: at.AddDate(-60, 0, 0)},
			{ID: "CVE-2024-0002", Package: "ü\x00\xff"},
		},
		Malware: []verdict.Malware{{Path: "/m", MD5: "5", SHA256: "6", Signature: "s", Engine: "e", Type: "t", Severity: verdict.Low}},
		Secrets: []verdict.Secret{{Path: "/s", History: "h", Rule: "r", Type: "t", Level: verdict.High, Redacted: "ab**", SHA256: "7"}},
	}
}

func TestEveryFieldComesBack(t *testing.T) {
	pool := compact.NewPool()
	for _, v := range []*verdict.Verdict{whole(), {ImageID: imageID}} {
		unpacked, err := pool.Unpack(pool.Pack(v), imageID)
		require.NoError(t, err)
		require.Equal(t, v, unpacked)
	}
}

func TestWhatIsDroppedLeavesNothingBehind(t *testing.T) {
	pool := compact.NewPool()
	first := pool.Pack(whole())
	texts, bytes := pool.Len(), pool.Bytes()
	second := pool.Pack(whole())
	require.Equal(t, [2]int{texts, bytes}, [2]int{pool.Len(), pool.Bytes()}, "the same findings take no room")
	pool.Drop(first)
	v, err := pool.Unpack(second, imageID)
	require.NoError(t, err)
	require.Equal(t, whole(), v)
	pool.Drop(second)
	require.Zero(t, pool.Len())
	require.Zero(t, pool.Bytes())
	_, err = pool.Unpack(second, imageID)
	require.ErrorIs(t, err, compact.ErrMalformed)

	third := pool.Pack(whole())
	v, err = pool.Unpack(third, imageID)
	require.NoError(t, err)
	require.Equal(t, whole(), v, "numbers that are used again")
}

func TestImagesOnTheSameBaseTakeTwoBytesAFinding(t *testing.T) {
	pool := compact.NewPool()
	v := &verdict.Verdict{}
	for i := range 1000 {
		v.Vulnerabilities = append(v.Vulnerabilities, verdict.Vulnerability{ID: fmt.Sprint("CVE-", i), Package: "p"})
	}
	pool.Pack(v)
	require.LessOrEqual(t, len(pool.Pack(v)), 2*1000)
}

// reread writes a pool down and reads it back.
func reread(t *testing.T, texts []string) (*compact.Pool, error) {
	t.Helper()
	var file bytes.Buffer
	require.NoError(t, compact.WriteTexts(&file, texts))
	return compact.ReadPool(bufio.NewReader(&file))
}

func TestAPoolThatWasWrittenDownUnpacksTheSame(t *testing.T) {
	pool := compact.NewPool()
	gone, kept := pool.Pack(&verdict.Verdict{Scanner: verdict.Scanner{Name: "gone"}}), pool.Pack(whole())
	unused := pool.Pack(&verdict.Verdict{Scanner: verdict.Scanner{Name: "unused"}})
	pool.Drop(gone)
	again, err := reread(t, pool.Texts())
	require.NoError(t, err)
	require.NoError(t, again.Adopt(kept))
	again.Tidy()
	v, err := again.Unpack(kept, imageID)
	require.NoError(t, err)
	require.Equal(t, whole(), v)
	_, err = again.Unpack(unused, imageID)
	require.ErrorIs(t, err, compact.ErrMalformed)
	require.ErrorIs(t, again.Adopt(gone), compact.ErrMalformed)
	again.Drop(kept)
	require.Zero(t, again.Len())
	require.Zero(t, again.Bytes())
}

func FuzzNothingReadBackPanics(f *testing.F) {
	pool := compact.NewPool()
	packed := pool.Pack(whole())
	var file bytes.Buffer
	require.NoError(f, compact.WriteTexts(&file, pool.Texts()))
	f.Add(file.Bytes(), packed)
	f.Fuzz(func(t *testing.T, file, packed []byte) {
		pool, err := compact.ReadPool(bufio.NewReader(bytes.NewReader(file)))
		if err != nil || pool.Adopt(packed) != nil {
			return
		}
		v, err := pool.Unpack(packed, imageID)
		if err == nil {
			again, err := pool.Unpack(pool.Pack(v), imageID)
			require.NoError(t, err)
			require.Equal(t, v, again)
		}
		pool.Drop(packed)
	})
}

func BenchmarkUnpack200Findings(b *testing.B) {
	pool := compact.NewPool()
	v := whole()
	for i := range 198 {
		v.Vulnerabilities = append(v.Vulnerabilities, v.Vulnerabilities[0])
		v.Vulnerabilities[i].Package = fmt.Sprint(i)
	}
	packed := pool.Pack(v)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pool.Unpack(packed, imageID); err != nil {
			b.Fatal(err)
		}
	}
}
