package nodeinstall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"portcullis/internal/node"
)

// Where portcullisd is looked for, and what it is made of.
const (
	DefaultConfig  = "/etc/portcullis/portcullisd.yaml"
	policiesFolder = "/etc/portcullis/policies"

	// DefaultListen is the socket for the kubelet, but for CRI-O's.
	DefaultListen = "/run/portcullis/portcullis.sock"
	// The kubelet knows CRI-O by the end of its socket's path, and takes its statistics in another way.
	crioSuffix = "run/crio/crio.sock"
	crioListen = "/run/portcullis/run/crio/crio.sock"

	socketUnit  = "portcullisd.socket"
	serviceUnit = "portcullisd.service"
	bypassUnit  = "portcullis-bypass.service" //nolint:gosec // no credential
)

// Plan is what install would do.
type Plan struct {
	Kubelet *Kubelet
	Runtime Runtime
	Socket  string // the runtime's
	Listen  string
	Changes []Change
	Notes   []string

	state *State // what an earlier install has done, nil for none
}

// Nothing says that everything is in place already.
func (p *Plan) Nothing() bool { return len(p.Changes) == 0 }

// Diff shows the changes, as a patch.
func (p *Plan) Diff() string {
	var b strings.Builder
	for _, c := range p.Changes {
		from := c.Path
		if c.Before == nil {
			from = "/dev/null"
		}
		b.WriteString(udiff.Unified(from, c.Path, string(c.Before), string(c.After)))
	}
	return b.String()
}

// Prepare finds out what install has to do, and refuses where it cannot be done safely. It changes
// nothing. unit may be "".
func (m *Machine) Prepare(ctx context.Context, unit string) (*Plan, error) {
	state, err := ReadState(m.Root)
	if err != nil {
		return nil, err
	}
	if state != nil && state.Phase != Installed {
		return nil, ErrUnfinished
	}
	f := files{root: m.Root}
	config, err := m.config()
	if err != nil {
		return nil, err
	}
	listen := DefaultListen
	if config != nil {
		listen = config.Listen
	}
	if err := refuseEmbedding(f, listen); err != nil {
		return nil, err
	}
	p := &Plan{state: state, Listen: listen}
	if p.Kubelet, err = (search{unit: unit, systemd: m.Services.Managed()}).kubelet(f); err != nil {
		return nil, err
	}
	if err := p.sockets(config, m.Config); err != nil {
		return nil, err
	}
	if p.Runtime, err = m.Probe.Runtime(ctx, m.full(p.Socket)); err != nil {
		return nil, refuse(fmt.Sprintf("no container runtime answers at %s, where the kubelet looks for it: %v", p.Socket, err), "start the runtime first; nothing was changed")
	}
	if err := m.healthyNow(ctx, p.Kubelet); err != nil {
		return nil, err
	}
	return p, m.changes(p, config, f)
}

// ErrUnfinished says that Uninstall has to take back an earlier run first.
var ErrUnfinished = errors.New("an install or uninstall before this did not end; take it back with portcullis node uninstall")

// config is the daemon's configuration, nil while there is none.
func (m *Machine) config() (*node.Config, error) {
	if _, err := os.Stat(m.full(m.Config)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	config, err := node.ReadConfig(m.full(m.Config))
	if err != nil {
		return nil, refuse(fmt.Sprintf("portcullisd would not start: %v", err), "correct it first; nothing was changed")
	}
	return &config, nil
}

// sockets finds out which is the runtime's and which is to be ours.
func (p *Plan) sockets(config *node.Config, configPath string) error {
	current := p.Kubelet.Socket()
	if !filepath.IsAbs(current) {
		return refuse(fmt.Sprintf("the kubelet's endpoint is %s (%s), which is no unix socket", p.Kubelet.Endpoint, p.Kubelet.From), "Portcullis stands before runtimes on a unix socket of this machine")
	}
	switch {
	case !SameSocket(current, p.Listen):
		p.Socket = current
	case p.state != nil:
		p.Socket = p.state.Runtime
	case config != nil:
		p.Socket = config.Runtime
	default:
		return refuse(fmt.Sprintf("the kubelet's endpoint is %s already (%s), and there is no %s", p.Listen, p.Kubelet.From, configPath), "set the runtime's socket there, and start again")
	}
	crio := strings.HasSuffix(p.Socket, crioSuffix)
	switch {
	case config == nil && crio:
		p.Listen = crioListen
	case config == nil:
	case !SameSocket(config.Runtime, p.Socket):
		return refuse(fmt.Sprintf("the kubelet uses the runtime at %s, and %s says runtime: %s", p.Socket, configPath, config.Runtime), "correct runtime there, or the kubelet's endpoint; nothing was changed")
	case crio && !strings.HasSuffix(config.Listen, crioSuffix):
		return refuse(fmt.Sprintf("before CRI-O the socket of portcullisd must end in %s, by which the kubelet knows it; %s says listen: %s", crioSuffix, configPath, config.Listen), "write listen: "+crioListen+" there")
	}
	return nil
}

// SameSocket says whether two paths lead to one socket: /run and /var/run are one folder.
func SameSocket(a, b string) bool { return resolved(a) == resolved(b) }

func resolved(socket string) string {
	if rest, ok := strings.CutPrefix(socket, "/var/run/"); ok {
		return "/run/" + rest
	}
	return socket
}

// healthyNow refuses a kubelet that is not well: nobody could tell then what the change did to it.
func (m *Machine) healthyNow(ctx context.Context, k *Kubelet) error {
	if k.PID == 0 {
		return refuse("the kubelet does not run", "start it and wait until it is healthy; nothing was changed")
	}
	if k.Healthz == "" {
		return nil
	}
	if err := m.Probe.Kubelet(ctx, k.Healthz); err != nil {
		return refuse(fmt.Sprintf("the kubelet is not healthy as it is: %v", err), "a node that is not well is not touched; see journalctl -u "+k.Unit)
	}
	return nil
}

func (m *Machine) changes(p *Plan, config *node.Config, f files) error {
	switch {
	case config == nil && !m.Services.Managed():
		return refuse(fmt.Sprintf("there is no %s", m.Config), "without systemd write it and start portcullisd first, or name another with --config")
	case config == nil:
		p.want(f, m.Config, configText(p), nil)
	case config.Kubelet.Root != p.Kubelet.RootDir:
		p.Notes = append(p.Notes, fmt.Sprintf("the kubelet's root folder is %s; write kubelet: {root: %s} into %s, so that what it mounts into pods is known as its own", p.Kubelet.RootDir, p.Kubelet.RootDir, m.Config))
	}
	if m.Services.Managed() {
		if err := m.wantUnits(p, config, f); err != nil {
			return err
		}
	} else {
		p.Notes = append(p.Notes, "without systemd: portcullisd must run already, and be started before the kubelet at every boot")
	}
	return p.wantEndpoint(f, m.Services.Managed())
}

func configText(p *Plan) []byte {
	text := "# Written by portcullis node install; docs/configuration.md lists all settings.\nruntime: " + p.Socket + "\n"
	if p.Listen != DefaultListen {
		text += "listen: " + p.Listen + "\n"
	}
	if p.Kubelet.RootDir != defaultRootDir {
		text += "kubelet: {root: " + p.Kubelet.RootDir + "}\n"
	}
	return []byte(text)
}

// want adds a change, unless the file is as it is to be.
func (p *Plan) want(f files, path string, data []byte, edit *Edit) {
	before, err := f.readIfThere(path)
	if err == nil && bytes.Equal(before, data) {
		return
	}
	p.Changes = append(p.Changes, Change{Path: path, Before: before, After: data, edit: edit})
}

// wantUnits adds the units, but for those that a package brings, and the kubelet's drop-in.
func (m *Machine) wantUnits(p *Plan, config *node.Config, f files) error {
	for _, name := range []string{socketUnit, serviceUnit, bypassUnit} {
		text, err := fs.ReadFile(m.Units, name)
		if err != nil {
			return err
		}
		own := filepath.Join(ownUnits, name)
		existing := unitFiles(f, name)
		switch {
		case len(existing) > 0 && existing[0] != own: // a package's
		case f.exists(own) && (p.state == nil || p.state.file(own) == nil):
			p.Notes = append(p.Notes, own+" is there already and is left as it is")
		default:
			p.want(f, own, text, nil)
		}
	}
	if p.Listen != DefaultListen {
		p.want(f, filepath.Join(ownUnits, socketUnit+".d", "10-listen.conf"), []byte("[Socket]\nListenStream=\nListenStream="+p.Listen+"\n"), nil)
	}
	if folders := writable(config); len(folders) > 0 {
		text := "[Service]\n"
		for _, folder := range folders {
			text += "ReadWritePaths=\"-" + strings.ReplaceAll(folder, "%", "%%") + "\"\n"
		}
		p.want(f, filepath.Join(ownUnits, serviceUnit+".d", "10-folders.conf"), []byte(text), nil)
	}
	text, err := fs.ReadFile(m.Units, "kubelet.service.d/10-portcullis.conf")
	if err != nil {
		return err
	}
	dropIn := filepath.Join(ownUnits, p.Kubelet.Unit+".d", "10-portcullis.conf")
	p.want(f, dropIn, text, nil)
	p.markKubelet(dropIn)
	return m.daemonIsThere(p, f)
}

// writable are the folders that the daemon writes to and that its unit, made for the default ones, keeps it
// from.
func writable(config *node.Config) []string {
	if config == nil {
		return nil
	}
	folders := []string{filepath.Dir(config.Listen), config.State}
	for _, s := range config.Sources {
		if s.Reports != "" {
			folders = append(folders, s.Reports)
		}
	}
	if len(config.Central.All()) > 0 {
		folders = append(folders, config.Policies)
	}
	slices.Sort(folders)
	return slices.DeleteFunc(slices.Compact(folders), func(folder string) bool {
		return slices.ContainsFunc([]string{filepath.Dir(DefaultListen), "/var/lib/portcullis", policiesFolder}, func(allowed string) bool {
			return strings.HasPrefix(folder+"/", allowed+"/")
		})
	})
}

func (p *Plan) markKubelet(path string) {
	if n := len(p.Changes); n > 0 && p.Changes[n-1].Path == path {
		p.Changes[n-1].kubelet = true
	}
}

// daemonIsThere makes sure that what the service starts can be started.
func (m *Machine) daemonIsThere(p *Plan, f files) error {
	for _, c := range p.Changes {
		f = f.with(c.Path, c.After)
	}
	s := readService(f, serviceUnit)
	arguments, _ := s.arguments()
	if len(arguments) == 0 {
		return fmt.Errorf("%s says nothing to start", serviceUnit)
	}
	info, err := os.Stat(m.full(arguments[0]))
	if err != nil || info.Mode()&0o111 == 0 {
		return refuse(fmt.Sprintf("%s starts %s, which is not there", serviceUnit, arguments[0]), fmt.Sprintf("install it first: install -m 0755 portcullisd portcullis-bypass %s/", filepath.Dir(arguments[0])))
	}
	return nil
}

// wantEndpoint adds the change of the endpoint, in the place where it is set, and makes sure that a
// kubelet started on the changed files would use it.
func (p *Plan) wantEndpoint(f files, systemd bool) error {
	k := p.Kubelet
	if SameSocket(k.Socket(), p.Listen) {
		return nil
	}
	changed := f
	for _, place := range k.places {
		data, err := f.read(place.read)
		if err != nil {
			return err
		}
		edit := &Edit{Flag: place.flag, Was: k.Endpoint, Now: endpointOf(p.Listen)}
		var after []byte
		if place.flag {
			after = replaceFlag(data, edit.Now)
		} else {
			after, err = p.editConfig(place.read, data, edit)
		}
		if err != nil {
			return err
		}
		if place.write != place.read {
			p.Notes = append(p.Notes, fmt.Sprintf("%s belongs to a package; a copy in %s takes its place, and upgrades of the package do not change it", place.read, place.write))
		}
		if after == nil {
			continue
		}
		path := f.target(place.write)
		p.want(f, path, after, edit)
		p.markKubelet(path)
		changed = changed.with(place.write, after).with(path, after)
	}
	after, err := search{unit: k.Unit, systemd: systemd, stale: true}.kubelet(changed)
	if err != nil || after.Socket() != p.Listen {
		return refuse(fmt.Sprintf("the kubelet's endpoint is set by %s in a form that is not edited by program", k.From), fmt.Sprintf("set it to %s by hand, restart the kubelet, and see portcullis node status", endpointOf(p.Listen)))
	}
	return nil
}

func (p *Plan) editConfig(path string, data []byte, edit *Edit) ([]byte, error) {
	c, err := parseConfig(path, data)
	if err != nil {
		return nil, err
	}
	if !c.doc.Has(endpointKey) {
		edit.Was = ""
	} else {
		edit.Was = c.doc.Scalar(endpointKey)
	}
	after, err := c.set(edit.Now)
	if err != nil {
		return nil, refuse(err.Error(), "then restart the kubelet and see portcullis node status; nothing was changed")
	}
	return after, nil
}

// target follows links, so that a link stays one. Units are left out: there the link is what systemd
// wants to see.
func (f files) target(path string) string {
	for _, folder := range unitFolders {
		if strings.HasPrefix(path, folder+"/") {
			return path
		}
	}
	resolved, err := filepath.EvalSymlinks(f.full(path))
	if err != nil {
		return path
	}
	root := filepath.Clean(f.root)
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	if root == "/" {
		return resolved
	}
	if inside, ok := strings.CutPrefix(resolved, root); ok {
		return inside
	}
	return path
}
