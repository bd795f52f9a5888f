package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLogsGetALineForEachStep(t *testing.T) {
	var out strings.Builder
	clock := time.Unix(0, 0)
	p := &progress{out: &out, now: func() time.Time { return clock }}
	p.Step("reading names", 3<<20)
	for range 3 {
		p.Read(1 << 20)
		clock = clock.Add(time.Second)
	}
	p.Step("judging", 0)
	p.end()
	p.end()
	require.Equal(t, "reading names: 3.0 MiB in 3.0 s\n", out.String())
}

func TestATerminalGetsABarThatGoesAwayAgain(t *testing.T) {
	var out strings.Builder
	clock := time.Unix(0, 0)
	p := &progress{out: &out, terminal: true, now: func() time.Time { return clock }}
	p.Step("reading files", 2<<30)
	for range 1000 { // drawn ten times a second, however often it is told
		p.Read(1 << 20)
		clock = clock.Add(time.Millisecond)
	}
	require.Less(t, strings.Count(out.String(), "\r"), 15)
	require.Contains(t, out.String(), "reading files  [#############.................]  44% of 2.0 GiB")
	p.Read(8 << 30)
	clock = clock.Add(time.Second)
	p.Read(0)
	require.Contains(t, out.String(), "100% of 2.0 GiB", "more than announced")
	p.end()
	require.True(t, strings.HasSuffix(out.String(), "\r\x1b[K"))
}

func TestQuietIsQuiet(t *testing.T) {
	var out strings.Builder
	p := &progress{out: &out, terminal: true, quiet: true, now: time.Now}
	p.Step("reading names", 100)
	p.Read(50)
	p.end()
	require.Empty(t, out.String())
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "100M": 100 << 20, "2G": 2 << 30, "1T": 1 << 40, "5K": 5120} {
		got, err := parseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "0", "-1", "M", "1m", "1MB", "MM", "1KM", "9999999999G", "1.5G"} {
		_, err := parseSize(text)
		require.ErrorContains(t, err, "write a number with K, M, G or T", text)
	}
}
