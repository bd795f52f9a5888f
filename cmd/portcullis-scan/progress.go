package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"
)

const (
	barWidth = 30
	redraw   = 100 * time.Millisecond
)

// progress draws a bar on a terminal, and elsewhere a line for each step, because logs keep every
// character. It has one user at a time.
type progress struct {
	out         io.Writer
	terminal    bool
	quiet       bool
	now         func() time.Time
	step        string
	began       time.Time
	drawn       time.Time
	done, total int64
}

func newProgress(file *os.File, quiet bool) *progress {
	return &progress{out: file, terminal: term.IsTerminal(int(file.Fd())), quiet: quiet, now: time.Now}
}

// Step implements scan.Progress.
func (p *progress) Step(name string, bytes int64) {
	p.end()
	p.step, p.total, p.done, p.began = name, bytes, 0, p.now()
	p.draw()
}

// Read implements scan.Progress.
func (p *progress) Read(bytes int) {
	p.done += int64(bytes)
	if p.now().Sub(p.drawn) >= redraw {
		p.draw()
	}
}

func (p *progress) draw() {
	if !p.terminal || p.quiet {
		return
	}
	p.drawn = p.now()
	if p.total == 0 {
		fmt.Fprintf(p.out, "\r\x1b[K%s", p.step)
		return
	}
	part := min(1, float64(p.done)/float64(p.total))
	filled := int(part * barWidth)
	fmt.Fprintf(p.out, "\r\x1b[K%-14s [%s%s] %3.0f%% of %s", p.step, strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), part*100, size(p.total))
}

// end closes the step under way; a second call does nothing.
func (p *progress) end() {
	if p.step == "" || p.quiet {
		p.step = ""
		return
	}
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K")
	} else if p.total > 0 {
		fmt.Fprintf(p.out, "%s: %s in %.1f s\n", p.step, size(p.done), p.now().Sub(p.began).Seconds())
	}
	p.step = ""
}

func size(bytes int64) string {
	for _, unit := range []struct {
		shift int
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if bytes >= 1<<unit.shift {
			return fmt.Sprintf("%.1f %s", float64(bytes)/float64(int64(1)<<unit.shift), unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", bytes)
}

// printable keeps what an image calls its files from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
