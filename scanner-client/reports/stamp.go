package reports

import (
	"io/fs"
	"syscall"
)

// stamp tells whether a file is still the one that was read. Size and time of writing are not enough: tools
// that copy set the time back, and reports of the same form are often of the same size. Times are in
// nanoseconds since 1970.
type stamp struct {
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"`
	Inode    uint64 `json:"inode"`
	Changed  int64  `json:"changed"` // nobody can set this one
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{Size: info.Size(), Modified: info.ModTime().UnixNano()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Inode, s.Changed = stat.Ino, stat.Ctim.Nano()
	}
	return s
}
