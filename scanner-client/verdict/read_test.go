package verdict_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/verdict"
)

var id = "sha256:" + strings.Repeat("ab", 32)

func sample() *verdict.Verdict {
	return &verdict.Verdict{
		ImageID: id, Scanner: verdict.Scanner{Name: "test"}, ScannedAt: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		Scanned:         verdict.Kinds(),
		Vulnerabilities: []verdict.Vulnerability{{ID: "CVE-2021-44228", Severity: verdict.Critical, Package: "log4j-core", Version: "2.14.1", FixedVersion: "2.15.0", Type: "maven", CWEs: []int{502}}},
		Malware:         []verdict.Malware{{Path: "/x", MD5: strings.Repeat("0", 32), Signature: "Eicar", Type: "test-file", Severity: verdict.High}},
		Secrets:         []verdict.Secret{{Path: "/root/.ssh/id_rsa", Rule: "pem", Type: "private-key", Level: verdict.High}},
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	var file bytes.Buffer
	require.NoError(t, verdict.Write(&file, sample()))
	read, err := verdict.Read(&file)
	require.NoError(t, err)
	require.Equal(t, sample(), read)
}

func TestEveryMistakeInAVerdictFileSaysWhatToWriteInstead(t *testing.T) {
	var file bytes.Buffer
	require.NoError(t, verdict.Write(&file, sample()))
	good := file.String()
	for name, c := range map[string]struct{ in, want string }{
		"empty":                {"", "truncated or empty"},
		"truncated":            {good[:len(good)/2], "truncated or empty"},
		"not JSON":             {"hello", "not a verdict: invalid character"},
		"two values":           {good + good, "more than one JSON value"},
		"wrong kind":           {strings.Replace(good, `"Verdict"`, `"Report"`, 1), `kind "Report"; write "portcullis/v1" and "Verdict"`},
		"misspelt key":         {strings.Replace(good, `"vulnerabilities": [`, `"vulnerabilties": [`, 1), "unknown field \"vulnerabilties\""},
		"wrong digest":         {strings.Replace(good, id, "sha256:12", 1), `imageID "sha256:12": write sha256: and the 64 hexadecimal digits`},
		"digest in capitals":   {strings.Replace(good, id, strings.ToUpper(id), 1), "imageID"},
		"unknown severity":     {strings.Replace(good, `"Critical"`, `"Severe"`, 1), `unknown severity "Severe"; write one of Critical, High`},
		"findings not scanned": {strings.Replace(good, `    "vulnerabilities",`+"\n", "", 1), "vulnerabilities: has findings but is not listed in scanned"},
		"unknown kind":         {strings.Replace(good, `    "malware",`, `    "viruses",`, 1), `scanned[1]: unknown kind "viruses"`},
		"short MD5":            {strings.Replace(good, strings.Repeat("0", 32), "00", 1), "malware[0].md5: write 32"},
		"whole secret":         {strings.Replace(good, `"level": "High"`, `"level": "High", "redacted": "hunter2hunter2"`, 1), "secrets[0].redacted: write at most the first 4"},
		"no list":              {strings.Replace(good, `"malware": [`, `"malware": {}, "x": [`, 1), "findings are not a list"},
		"no scanner":           {strings.Replace(good, `"test"`, `""`, 1), "scanner.name: required"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verdict.Read(strings.NewReader(c.in))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestTheWorstOfTooManyFindingsAreKeptAndDoNotShowTheImageClean(t *testing.T) {
	v := sample()
	worst := v.Vulnerabilities[0]
	v.Vulnerabilities = make([]verdict.Vulnerability, 2*verdict.MaxFindings+1)
	for i := range v.Vulnerabilities {
		v.Vulnerabilities[i] = verdict.Vulnerability{ID: "a", Package: "p", Severity: verdict.Low}
	}
	v.Vulnerabilities[verdict.MaxFindings+1] = worst
	var file bytes.Buffer
	require.NoError(t, verdict.Write(&file, v))
	read, err := verdict.Read(&file)
	require.ErrorIs(t, err, verdict.ErrCut)
	require.Len(t, read.Vulnerabilities, verdict.MaxFindings)
	require.Equal(t, worst, read.Vulnerabilities[0])
	require.Empty(t, read.Scanned)
}

func TestAFileFullOfMistakesDoesNotFloodTheLog(t *testing.T) {
	v := sample()
	v.Vulnerabilities = make([]verdict.Vulnerability, 1000)
	var file bytes.Buffer
	require.NoError(t, verdict.Write(&file, v))
	_, err := verdict.Read(&file)
	require.Less(t, len(err.Error()), 2000)
}

// endless is a file that never stops; it must not be read into memory whole.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

func TestAHugeFileIsGivenUpAtTheLimit(t *testing.T) {
	file := &endless{}
	_, err := verdict.Read(file)
	require.ErrorIs(t, err, verdict.ErrTooLarge)
	require.LessOrEqual(t, file.read, verdict.MaxFileSize+1<<20)
}

func FuzzReadNeverPanicsAndWritesBackWhatItRead(f *testing.F) {
	var file bytes.Buffer
	require.NoError(f, verdict.Write(&file, sample()))
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := verdict.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		require.NoError(t, verdict.Write(&again, v))
		_, err = verdict.Read(&again)
		require.NoError(t, err)
	})
}

func TestTheExampleInTheDocsIsAVerdict(t *testing.T) {
	page, err := os.ReadFile("../../docs/verdicts.md")
	require.NoError(t, err)
	_, example, ok := strings.Cut(string(page), "```json\n")
	require.True(t, ok)
	example, _, _ = strings.Cut(example, "```")
	v, err := verdict.Read(strings.NewReader(example))
	require.NoError(t, err)
	require.Equal(t, verdict.Kinds(), v.Scanned)
}
