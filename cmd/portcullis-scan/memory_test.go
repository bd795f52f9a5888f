package main_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/cmd/portcullis-scan/malware/clamdtest"
	"portcullis/cmd/portcullis-scan/vulnerabilities/osvtest"
)

var imageSize = flag.Int64("image-size", 128, "size of the image for the memory test, in MiB")

// maxResident is what a scan may take, whatever the size of the image, in KiB.
const maxResident = 300 << 10

func TestALargeImageTakesLittleMemory(t *testing.T) {
	layout := largeImage(t, *imageSize<<20)
	db := osvtest.Write(t, osvtest.Advisories{"Debian": {osvtest.DebianOpenSSL}, "Maven": {osvtest.Log4Shell}, "npm": {osvtest.Lodash}})
	clamd := clamdtest.Start(t, clamdtest.Signatures{clamdtest.EICAR: "Eicar-Test-Signature"}, "StreamMaxLength 200M")
	command := exec.Command(program(t), "--clamd", clamd, "--osv-db", db, "--temp", t.TempDir(), layout)
	var stderr strings.Builder
	command.Stderr = &stderr
	require.NoError(t, command.Run(), "%s", &stderr)
	usage := command.ProcessState.SysUsage().(*syscall.Rusage)
	t.Logf("%d MiB image: %d MiB resident at most, %.0f s of CPU\n%s", *imageSize, usage.Maxrss>>10, command.ProcessState.UserTime().Seconds()+command.ProcessState.SystemTime().Seconds(), &stderr)
	require.Less(t, usage.Maxrss, int64(maxResident))
	require.Contains(t, stderr.String(), "CVE-2021-23337")
	require.Contains(t, stderr.String(), "malware: none")
}

// Whoever makes images may make one that the scanner finds very much in. It must not take the memory of the
// machine that scans; what cannot be held is told.
func TestAnImageMadeToTakeMemoryTakesLittle(t *testing.T) {
	lodash := `{"name": "lodash", "version": "4.17.20", "author": "` + strings.Repeat("x", 1000) + `"}`
	long := strings.Repeat("folder-of-a-long-name/", 150)
	for name, c := range map[string]struct {
		layer  func(put func(name string, content io.Reader, size int64))
		status int
		told   string
	}{
		"a file of nothing but passwords": {func(put func(name string, content io.Reader, size int64)) {
			put("app/.env", &passwordReader{}, 50<<20)
		}, 0, "more than a verdict holds"},
		"secrets at long paths": {func(put func(name string, content io.Reader, size int64)) {
			for i := range 30_000 {
				put(fmt.Sprintf("%s%d/.env", long, i), &passwordReader{at: 100 * i}, 100)
			}
		}, 0, "more than a verdict holds"},
		"a list of very many packages": {func(put func(name string, content io.Reader, size int64)) {
			put("var/lib/dpkg/status", &repeated{text: "Package: openssl\nStatus: install ok installed\nVersion: 3.0.8-1\n\n"}, 30<<20)
		}, 3, "image has more than 100000"},
		"very many vulnerable packages": {func(put func(name string, content io.Reader, size int64)) {
			for i := range 60_000 {
				put(fmt.Sprintf("app/%d/node_modules/lodash/package.json", i), strings.NewReader(lodash), int64(len(lodash)))
			}
		}, 0, "more than a verdict holds"},
		"a package description without end": {func(put func(name string, content io.Reader, size int64)) {
			put("app/node_modules/x/package.json", io.MultiReader(strings.NewReader(`{"name": "x", "version": "1", "contributors": [`), &repeated{text: `"",`}), 120<<20)
		}, 3, "larger than is read"},
	} {
		t.Run(name, func(t *testing.T) {
			layout := t.TempDir()
			blobs := filepath.Join(layout, "blobs", "sha256")
			require.NoError(t, os.MkdirAll(blobs, 0o755))
			diffID, digest, length := writeLayer(t, blobs, func(archive *tar.Writer) {
				c.layer(func(name string, content io.Reader, size int64) {
					require.NoError(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size}))
					_, err := io.CopyN(archive, content, size)
					require.NoError(t, err)
				})
			})
			finishLayout(t, layout, []string{`"sha256:` + diffID + `"`}, []string{descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digest, length)})
			db := osvtest.Write(t, osvtest.Advisories{"Debian": {osvtest.DebianOpenSSL}, "npm": {osvtest.Lodash}})
			requireLittleMemory(t, c.status, c.told, "--kinds", "vulnerabilities,secrets", "--osv-db", db, "--temp", t.TempDir(), layout)
		})
	}
}

func TestAnArchiveMadeToTakeMemoryTakesLittle(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "image.tar"))
	require.NoError(t, err)
	defer file.Close()
	archive := tar.NewWriter(file)
	for i := range 150 {
		require.NoError(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%d/%s", i, strings.Repeat("x", 1<<20-1000))}))
	}
	require.NoError(t, archive.Close())
	requireLittleMemory(t, 3, "not the archive of an image", file.Name())
}

// requireLittleMemory runs the command and looks at the memory that it took.
func requireLittleMemory(t *testing.T, status int, told string, arguments ...string) {
	t.Helper()
	command := exec.Command(program(t), arguments...)
	var stderr strings.Builder
	command.Stderr = &stderr
	_ = command.Run()
	usage := command.ProcessState.SysUsage().(*syscall.Rusage)
	t.Logf("%d MiB resident at most", usage.Maxrss>>10)
	require.Equal(t, status, command.ProcessState.ExitCode(), "%.1000s", stderr.String())
	require.Contains(t, stderr.String(), told)
	require.Less(t, usage.Maxrss, int64(maxResident))
}

// largeImage is the folder of an OCI layout with an image of that many bytes: half of it programs, an
// eighth text, and many small files of npm packages, in four layers that override some of each other.
func largeImage(t *testing.T, size int64) string {
	t.Helper()
	layout := t.TempDir()
	blobs := filepath.Join(layout, "blobs", "sha256")
	require.NoError(t, os.MkdirAll(blobs, 0o755))
	var diffIDs, layers []string
	for i := range 4 {
		diffID, digest, length := largeLayer(t, blobs, i, size/4)
		diffIDs = append(diffIDs, `"sha256:`+diffID+`"`)
		layers = append(layers, descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digest, length))
	}
	finishLayout(t, layout, diffIDs, layers)
	return layout
}

// finishLayout writes what stands around the layers.
func finishLayout(t *testing.T, layout string, diffIDs, layers []string) {
	t.Helper()
	blobs := filepath.Join(layout, "blobs", "sha256")
	config := document(t, blobs, `{"os":"linux","architecture":"amd64","config":{"User":"1"},"rootfs":{"type":"layers","diff_ids":[`+strings.Join(diffIDs, ",")+`]}}`)
	manifest := document(t, blobs, `{"schemaVersion":2,"config":`+descriptor("application/vnd.oci.image.config.v1+json", config.digest, config.length)+`,"layers":[`+strings.Join(layers, ",")+`]}`)
	index := `{"schemaVersion":2,"manifests":[` + descriptor("application/vnd.oci.image.manifest.v1+json", manifest.digest, manifest.length) + `]}`
	require.NoError(t, os.WriteFile(filepath.Join(layout, "index.json"), []byte(index), 0o600))
}

func descriptor(mediaType, digest string, length int64) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":"sha256:%s","size":%d}`, mediaType, digest, length)
}

type blob struct {
	digest string
	length int64
}

func document(t *testing.T, blobs, text string) blob {
	t.Helper()
	require.True(t, json.Valid([]byte(text)))
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	require.NoError(t, os.WriteFile(filepath.Join(blobs, digest), []byte(text), 0o600))
	return blob{digest, int64(len(text))}
}

func largeLayer(t *testing.T, blobs string, number int, size int64) (diffID, digest string, length int64) {
	t.Helper()
	return writeLayer(t, blobs, func(archive *tar.Writer) { fill(t, archive, number, size) })
}

// writeLayer writes a compressed layer.
func writeLayer(t *testing.T, blobs string, fill func(*tar.Writer)) (diffID, digest string, length int64) {
	t.Helper()
	file, err := os.CreateTemp(blobs, "layer-")
	require.NoError(t, err)
	defer file.Close()
	stored, content := sha256.New(), sha256.New()
	compressed, err := gzip.NewWriterLevel(io.MultiWriter(file, stored), gzip.BestSpeed)
	require.NoError(t, err)
	archive := tar.NewWriter(io.MultiWriter(compressed, content))
	fill(archive)
	require.NoError(t, archive.Close())
	require.NoError(t, compressed.Close())
	length, err = file.Seek(0, io.SeekCurrent)
	require.NoError(t, err)
	digest = sum(stored)
	require.NoError(t, os.Rename(file.Name(), filepath.Join(blobs, digest)))
	return sum(content), digest, length
}

func sum(h hash.Hash) string { return fmt.Sprintf("%x", h.Sum(nil)) }

func fill(t *testing.T, archive *tar.Writer, number int, size int64) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{byte(number)})
	put := func(name string, mode int64, head string, length int64, rest io.Reader) {
		require.NoError(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(head)) + length}))
		_, err := io.WriteString(archive, head)
		require.NoError(t, err)
		_, err = io.CopyN(archive, rest, length)
		require.NoError(t, err)
	}
	put("etc/os-release", 0o644, "ID=debian\nVERSION_ID=\"12\"\n", 0, random)
	put("var/lib/dpkg/status", 0o644, "Package: openssl\nStatus: install ok installed\nVersion: 3.0.8-1\n\n", 0, random)
	large := min(64<<20, size/8)
	for i := range size / 2 / large {
		put(fmt.Sprintf("usr/bin/program-%d-%d", number, i), 0o755, "\x7fELF\x02\x01\x01\x00", large, random)
	}
	put(fmt.Sprintf("var/log/log-%d", number%2), 0o644, "", size/8, &textReader{})
	for i := range size / 4 / (16 << 10) {
		dir := fmt.Sprintf("app/node_modules/package-%d-%d/", number, i)
		put(dir+"package.json", 0o644, fmt.Sprintf(`{"name": "package-%d", "version": "1.0.%d"}`, number, i), 0, random)
		put(dir+"index.js", 0o644, "", 15<<10, &textReader{})
	}
	put("app/node_modules/lodash/package.json", 0o644, `{"name": "lodash", "version": "4.17.20"}`, 0, random)
}

// textReader is text without an end.
type textReader struct{ repeated }

func (r *textReader) Read(p []byte) (int, error) {
	r.text = "2026-11-23T12:00:00Z INFO request handled path=/api/v1/items?id=42 user=someone@example.com\n"
	return r.repeated.Read(p)
}

// repeated is a text again and again. The test must not hold what it makes: the memory of a command counts
// from that of the process that starts it.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.text[(r.at+i)%len(r.text)]
	}
	r.at += len(p)
	return len(p), nil
}

// passwordReader are passwords without an end, all of them different, 25 bytes each.
type passwordReader struct{ at int }

func (r *passwordReader) Read(p []byte) (int, error) {
	line := fmt.Sprintf("A_PASSWORD=x%012d\n", r.at/25)
	n := copy(p, line[r.at%25:])
	r.at += n
	return n, nil
}
