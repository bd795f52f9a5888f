package rootfs

import "fmt"

// Limits bound what an image may cost: images come from anyone. An image that goes beyond is not
// scanned, which is an error: no part of it may pass for clean.
type Limits struct {
	// Bytes bounds the layers when decompressed, and the files in them, each in sum.
	Bytes int64
	// Files bounds the files, folders and links; each takes about 200 bytes of memory.
	Files int
}

// DefaultLimits fit the largest images in common use.
var DefaultLimits = Limits{Bytes: 64 << 30, Files: 1_000_000}

const (
	maxPath   = 4096        // bytes, as in Linux
	maxName   = 255         // bytes of one name in it, as in Linux
	maxNames  = 64 << 20    // bytes of all names and link targets, which stay in memory
	maxLinked = 4 << 20     // bytes of all paths of one file
	maxSteps  = 500_000_000 // from folder to folder on the ways to all files: links can make a short path very long
	maxDepth  = maxPath / 2 // links to folders could make a tree that is deeper than any path
	maxLinks  = 255         // symbolic links followed for one path
)

var (
	errNames  = fmt.Errorf("image has more than %d bytes of names and link targets", maxNames)
	errLinked = fmt.Errorf("file has more than %d bytes of paths, all of its hard links together", maxLinked)
	errSteps  = fmt.Errorf("image leads over symbolic links more than %d times", maxSteps)
)

// LimitError says which limit an image went beyond.
type LimitError struct {
	What string // "bytes" or "files"
	Most int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("image has more than %d %s; raise the limit with --max-%s if it may", e.Most, e.What, e.What)
}
