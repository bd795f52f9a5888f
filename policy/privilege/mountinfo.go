package privilege

import (
	"path"
	"slices"
	"strings"
)

// mounted is one line of /proc/self/mountinfo.
type mounted struct {
	device string // major:minor
	root   string // which directory of the device's file system
	at     string // where it is mounted
}

func parseMountInfo(table []byte) []mounted {
	var mounts []mounted
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			mounts = append(mounts, mounted{fields[2], unescape(fields[3]), unescape(fields[4])})
		}
	}
	return mounts
}

// unescape undoes the kernel's spelling of characters that would break a line into wrong fields.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

// bindSources returns where the files of the bind mount at name come from, when that is outside the
// pod's own directories. It looks for other mounts of the same file system that show the same files;
// without one, nothing is known.
func bindSources(table []byte, name string, own directories) []string {
	mounts := parseMountInfo(table)
	bind := slices.IndexFunc(mounts, func(m mounted) bool { return m.at == name })
	if bind < 0 {
		return nil
	}
	var foreign []string
	for _, m := range mounts {
		if m.device != mounts[bind].device || !inside(mounts[bind].root, m.root) {
			continue
		}
		source := path.Join(m.at, strings.TrimPrefix(mounts[bind].root, m.root))
		switch {
		case slices.ContainsFunc(own, func(d string) bool { return inside(source, path.Join(d, subpaths)) }):
		case own.contain(source):
			return nil
		default:
			foreign = append(foreign, clean(source))
		}
	}
	return foreign
}
