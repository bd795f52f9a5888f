package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"portcullis/internal/nodeinstall"
	"portcullis/internal/unixpeers"
)

const (
	staleReports = 7 * 24 * time.Hour
	serviceLog   = "see journalctl -u portcullisd"
)

func install(f *Facts) []Check {
	const name = "install"
	switch {
	case f.InstallProblem != nil:
		return wrong(name, f.InstallProblem)
	case f.Install == nil:
		return one(name, OK, "", "not done by portcullis node install; what follows counts all the same")
	case f.Install.Phase != nodeinstall.Installed:
		return one(name, Fail, "finish it with portcullis node install, or take it back with portcullis node uninstall",
			"cut short %s while %s", age(f.Now, f.Install.At), f.Install.Phase)
	}
	return ok(name, "done %s", age(f.Now, f.Install.At))
}

func configuration(f *Facts) []Check {
	if f.ConfigProblem != "" {
		return one("configuration", Fail, "correct it; portcullisd --check says when it is right", "%s", f.ConfigProblem)
	}
	return ok("configuration", "%s is valid", f.ConfigPath)
}

func daemon(f *Facts) []Check {
	const name = "portcullisd"
	switch d := f.Daemon; {
	case f.ConfigProblem != "":
		return nil
	case f.bypassed():
		return one(name, Fail, "when what was wrong is mended: systemctl start portcullisd", "is bypassed: containers start unchecked")
	case d == nil && f.DaemonProblem == "" && f.Listen.Silent == "":
		return one(name, Warn, "set metrics.address, so that its state can be seen", "answers at %s; it serves no metrics", f.Listen.Path)
	case d == nil:
		return one(name, Fail, "start it: systemctl start portcullisd.socket portcullisd.service; "+serviceLog, "does not answer: %s", first(f.DaemonProblem, f.Listen.Silent))
	case !d.Ready:
		return one(name, Fail, serviceLog, "%s runs, but is not ready: %s", d.Version, strings.Join(d.Missing, "; "))
	case d.Version != f.Version:
		return one(name, Warn, "restart portcullisd after an upgrade; no call is lost", "%s runs and is ready; this program is %s", d.Version, f.Version)
	default:
		return ok(name, "%s runs and is ready", d.Version)
	}
}

// bypassed says whether portcullis-bypass serves our socket. The kernel keeps 15 characters of a name.
func (f *Facts) bypassed() bool {
	return slices.ContainsFunc(f.Listen.Servers, func(p unixpeers.Process) bool { return p.Command == "portcullis-bypa" })
}

// lock looks for a daemon that holds the socket and does not serve it.
func lock(f *Facts) []Check {
	if f.ConfigProblem != "" || f.LockHolder == 0 || f.Daemon != nil || f.Listen.Silent == "" {
		return nil
	}
	return one("lock", Fail, fmt.Sprintf("end it (kill %d), so that another can start", f.LockHolder),
		"pid %d holds %s.lock and does not answer", f.LockHolder, f.Listen.Path)
}

func kubelet(f *Facts) []Check {
	switch k := f.Kubelet; {
	case k == nil:
		return wrong("kubelet", f.KubeletProblem)
	case k.PID == 0:
		return one("kubelet", Fail, "see journalctl -u "+k.Unit, "does not run")
	case f.KubeletSick != "":
		return one("kubelet", Fail, "see journalctl -u "+k.Unit, "pid %d is not healthy: %s", k.PID, f.KubeletSick)
	default:
		return ok("kubelet", "pid %d is healthy", k.PID)
	}
}

// kubeletPath says whether the kubelet goes through Portcullis: now, and after its next start.
func kubeletPath(f *Facts) []Check {
	const name = "kubelet's way"
	k := f.Kubelet
	if k == nil || f.ConfigProblem != "" {
		return nil
	}
	if !nodeinstall.SameSocket(k.Socket(), f.Listen.Path) {
		do := "portcullis node install"
		if f.Install != nil {
			do += "; an upgrade of the kubelet or kubeadm may have written the file again"
		}
		return one(name, Fail, do, "its endpoint is %s (%s), not portcullisd: nothing is judged", k.Endpoint, k.From)
	}
	if f.Listen.ClientsProblem != "" {
		return one(name, Warn, "", "set to portcullisd (%s); whether it is connected is not to be seen: %s", k.From, f.Listen.ClientsProblem)
	}
	if k.PID != 0 && !holds(f.Listen.Clients, k.PID) {
		return one(name, Fail, "restart it: systemctl restart "+k.Unit, "set to portcullisd (%s), but it is not connected there", k.From)
	}
	return ok(name, "through portcullisd (%s)", k.From)
}

func versions(f *Facts) []Check {
	if f.ConfigProblem != "" {
		return nil
	}
	if f.Runtime.Silent != "" {
		return one("runtime", Fail, "start the runtime; is runtime: right in "+f.ConfigPath+"?", "does not answer CRI v1 at %s: %s", f.Runtime.Path, f.Runtime.Silent)
	}
	checks := ok("runtime", "%s answers CRI v1 at %s", f.Runtime.Runtime, f.Runtime.Path)
	if f.Listen.Silent == "" && f.Listen.Runtime != f.Runtime.Runtime {
		checks = one("runtime", Fail, "set runtime: in "+f.ConfigPath+" and restart portcullisd", "%s answers at %s, and %s through portcullisd", f.Runtime.Runtime, f.Runtime.Path, f.Listen.Runtime)
	}
	if old(f.Runtime.Runtime) {
		checks = append(checks, one("runtime version", Warn, "upgrade containerd", "%s; Portcullis is tested with 1.6 and later", f.Runtime.Runtime)...)
	}
	if f.KubeletVersion != "" {
		checks = append(checks, kubeletVersion(f.KubeletVersion)...)
	}
	return checks
}

func old(r nodeinstall.Runtime) bool {
	major, minor, ok := majorMinor(r.Version)
	return r.Name == "containerd" && ok && major == 1 && minor < 6
}

// kubeletVersion warns of kubelets that speak CRI v1alpha2 only.
func kubeletVersion(version string) []Check {
	major, minor, ok := majorMinor(version)
	if ok && major == 1 && minor < 23 {
		return one("kubelet version", Warn, "upgrade it", "%s does not know CRI v1", version)
	}
	return []Check{{Name: "kubelet version", Level: OK, Says: version}}
}

func majorMinor(version string) (major, minor int, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return major, minor, err1 == nil && err2 == nil
}

const othersBits = 0o007

func listenSocket(f *Facts) []Check {
	const name = "our socket"
	switch s := f.Listen; {
	case f.ConfigProblem != "":
		return nil
	case s.Problem != "":
		return one(name, Fail, "start portcullisd.socket", "%s", s.Problem)
	case s.UID != 0 || s.Mode&0o077 != 0:
		return one(name, Fail, fmt.Sprintf("chown root %s; chmod 0600 %s", s.Path, s.Path), "%s has mode %#o and owner %d: who connects rules the node", s.Path, s.Mode, s.UID)
	case s.FolderUID != 0 || s.FolderMode&0o022 != 0:
		return one(name, Fail, "chmod 0700 its folder, owned by root", "the folder of %s has mode %#o and owner %d: others could put a socket of theirs there", s.Path, s.FolderMode, s.FolderUID)
	default:
		return ok(name, "%s is root's alone", s.Path)
	}
}

func runtimeSocket(f *Facts) []Check {
	const name = "runtime's socket"
	switch s := f.Runtime; {
	case f.ConfigProblem != "":
		return nil
	case s.Problem != "":
		return one(name, Fail, "start the runtime", "%s", s.Problem)
	case s.UID != 0 || s.Mode&othersBits != 0:
		return one(name, Fail, fmt.Sprintf("chmod 0660 %s in the runtime's configuration", s.Path), "%s has mode %#o and owner %d: who connects starts what they like, past Portcullis", s.Path, s.Mode, s.UID)
	case s.GID != 0 && s.Mode&0o070 != 0:
		return one(name, Warn, "keep its members few, or give the socket to group root", "%s is open to group %d, whose members can start what they like, past Portcullis", s.Path, s.GID)
	default:
		return ok(name, "%s is root's alone", s.Path)
	}
}

// others lists who talks to the runtime past Portcullis.
func others(f *Facts) []Check {
	const name = "past Portcullis"
	if f.ConfigProblem != "" || f.Runtime.Problem != "" {
		return nil
	}
	if f.Runtime.ClientsProblem != "" {
		return one(name, Warn, "", "who talks to the runtime is not to be seen: %s", f.Runtime.ClientsProblem)
	}
	var checks []Check
	for _, p := range f.Runtime.Clients {
		switch {
		case holds(f.Listen.Servers, p.PID), holds(f.Runtime.Servers, p.PID):
		case f.Kubelet != nil && p.PID == f.Kubelet.PID:
			checks = append(checks, one(name, Fail, "restart the kubelet once its endpoint is portcullisd", "the kubelet (pid %d) talks to %s directly", p.PID, f.Runtime.Path)...)
		case p.OwnMounts:
			checks = append(checks, one(name, Warn, "find its pod (cat /proc/"+strconv.Itoa(p.PID)+"/cgroup); does it need the runtime's socket?", "%s, in a container or shut in, talks to %s directly and can start what it likes", told(p), f.Runtime.Path)...)
		default:
			checks = append(checks, one(name, Warn, "is it meant to? What it starts is not judged", "%s talks to %s directly", told(p), f.Runtime.Path)...)
		}
	}
	if len(checks) == 0 {
		return ok(name, "nobody but portcullisd talks to %s", f.Runtime.Path)
	}
	return checks
}

func told(p unixpeers.Process) string { return fmt.Sprintf("%q (pid %d)", p.Command, p.PID) }

func holds(list []unixpeers.Process, pid int) bool {
	for _, p := range list {
		if p.PID == pid {
			return true
		}
	}
	return false
}

func folders(f *Facts) []Check {
	var checks []Check
	for _, folder := range f.Folders {
		if folder.UID != 0 || folder.Mode&0o022 != 0 {
			checks = append(checks, one("folders", Fail, fmt.Sprintf("chown root %s; chmod go-w %s", folder.Path, folder.Path),
				"%s (%s) has mode %#o and owner %d: others than root could rule what starts", folder.Path, folder.What, folder.Mode, folder.UID)...)
		}
	}
	if len(checks) == 0 && len(f.Folders) > 0 {
		return ok("folders", "only root can write policies, reports and state")
	}
	return checks
}

func policies(f *Facts) []Check {
	const name = "policies"
	p := f.Policies
	switch {
	case f.ConfigProblem != "":
		return nil
	case p.Problem != "":
		return one(name, Fail, "correct them (portcullis policy check "+p.Path+"); those in force before stay meanwhile", "%s", p.Problem)
	case f.Daemon != nil && f.Daemon.Revision != p.Revision:
		return one(name, Fail, "systemctl reload portcullisd; "+serviceLog, "revision %s is on disk, %s is in force", p.Revision, first(f.Daemon.Revision, "none"))
	case p.Count == 0:
		return one(name, Warn, "write some into "+p.Path, "there are none: every container may start")
	}
	checks := ok(name, "%d, revision %s, changed %s", p.Count, p.Revision, age(f.Now, p.Newest))
	if f.Daemon != nil && f.Daemon.ExpiredExemptions > 0 {
		checks = append(checks, one("exemptions", Warn, "remove or renew them; portcullis policy status "+p.Path+" names them", "%d have expired and have no effect", f.Daemon.ExpiredExemptions)...)
	}
	return checks
}

func reports(f *Facts) []Check {
	const name = "reports"
	r := f.Reports
	if r == nil {
		return nil
	}
	var checks []Check
	switch {
	case r.Count == 0:
		checks = one(name, Warn, "scan your images (portcullis scan) or send your scanner's reports to "+r.Folders[0], "there are none: every image counts as unscanned")
	case f.Now.Sub(r.Newest) > staleReports:
		checks = one(name, Warn, "does your scanner still send them? What was found since is not known here", "the newest of %d came %s", r.Count, age(f.Now, r.Newest))
	default:
		checks = ok(name, "%d, the newest came %s", r.Count, age(f.Now, r.Newest))
	}
	if f.Daemon != nil && f.Daemon.BrokenReports > 0 {
		checks = append(checks, one(name, Warn, serviceLog+", which names them", "%d cannot be read", f.Daemon.BrokenReports)...)
	}
	return checks
}

func events(f *Facts) []Check {
	if f.Daemon == nil {
		return nil
	}
	if f.Daemon.EventsLost > 0 {
		return one("events", Warn, serviceLog, "%d decisions were made of which no event could be kept", f.Daemon.EventsLost)
	}
	return ok("events", "none lost")
}

// earliest is a time that no clock can show that is right.
var earliest = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func clock(f *Facts) []Check {
	const do = "observation periods and exemptions go by it: set up chrony or systemd-timesyncd"
	switch {
	case f.Now.Before(earliest):
		return one("clock", Fail, do, "shows %s, which cannot be", f.Now.UTC().Format(time.RFC3339))
	case f.ClockUnsynchronised:
		return one("clock", Warn, do, "is not synchronised with others")
	}
	return ok("clock", "is synchronised")
}

func journal(f *Facts) []Check {
	if f.JournalProblem != "" {
		return one("journal", Warn, "start systemd-journald; until then events go to portcullisd's log", "does not take events: %s", f.JournalProblem)
	}
	return ok("journal", "takes events")
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
