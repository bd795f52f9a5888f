package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/event"
	"portcullis/gate"
	"portcullis/internal/atomicfile"
	"portcullis/internal/policyfile"
	"portcullis/internal/strictyaml"
	"portcullis/policy"
	scanner "portcullis/scanner-client"
	"portcullis/uplink"
)

// Central says where central is; without an address the node is on its own.
type Central struct {
	Address string `yaml:"address"`
	// Addresses are of central's replicas, instead of Address.
	Addresses []string `yaml:"addresses"`
	// SpoolSize bounds the disk for decisions that central does not have, in bytes.
	SpoolSize int64 `yaml:"spoolSize"`
}

const (
	// centralFile is where central's policies are in the policies folder.
	centralFile  = "central.yaml"
	minSpoolSize = 1 << 20
	maxSpoolSize = 64 << 30
	maxAddresses = 16
)

// All are the addresses of central, none for a node on its own.
func (c *Central) All() []string {
	if c.Address != "" {
		return []string{c.Address}
	}
	return c.Addresses
}

func (c *Config) validateCentral(doc *strictyaml.Document) strictyaml.Problems {
	var problems strictyaml.Problems
	if c.Central.SpoolSize < minSpoolSize || c.Central.SpoolSize > maxSpoolSize {
		problems = append(problems, doc.Problem("central.spoolSize", "%d is out of range; set %d to %d bytes", c.Central.SpoolSize, minSpoolSize, int64(maxSpoolSize)))
	}
	if len(c.Central.All()) == 0 {
		if doc.Has("central") {
			problems = append(problems, doc.Problem("central.address", "required; write the address of central, such as https://central.example.com:8443"))
		}
		return problems
	}
	problems = append(problems, c.Central.validateAddresses(doc)...)
	if info, err := os.Stat(c.Policies); err == nil && !info.IsDir() {
		problems = append(problems, doc.Problem("policies", "%s is a file; central's policies are put beside the node's own, so name a folder", c.Policies))
	}
	return problems
}

func (c *Central) validateAddresses(doc *strictyaml.Document) strictyaml.Problems {
	var problems strictyaml.Problems
	if c.Address != "" {
		if err := uplink.CheckAddress(c.Address); err != nil {
			problems = append(problems, doc.Problem("central.address", "%v", err))
		}
		if len(c.Addresses) > 0 {
			problems = append(problems, doc.Problem("central.addresses", "central.address is set as well; write all addresses here and leave that out"))
		}
	}
	if len(c.Addresses) > maxAddresses {
		problems = append(problems, doc.Problem("central.addresses", "are %d; write at most %d", len(c.Addresses), maxAddresses))
	}
	for i, address := range c.Addresses {
		field := fmt.Sprintf("central.addresses[%d]", i)
		if err := uplink.CheckAddress(address); err != nil {
			problems = append(problems, doc.Problem(field, "%v", err))
		}
		if slices.Contains(c.Addresses[:i], address) {
			problems = append(problems, doc.Problem(field, "%s is there twice; write each replica once", address))
		}
	}
	return problems
}

// CentralDir is the folder for what belongs to the node's membership.
func (c *Config) CentralDir() string { return filepath.Join(c.State, "central") }

// openCentral makes the spool and the uplink, if central is configured.
func (n *Node) openCentral(connection *grpc.ClientConn, version string) error {
	if len(n.config.Central.All()) == 0 {
		return nil
	}
	for _, folder := range []string{n.config.CentralDir(), n.config.Policies} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	n.spool = event.OpenSpools(filepath.Join(n.config.State, "spool"), event.SpoolOptions{Size: n.config.Central.SpoolSize, Log: n.log})
	n.onStop(n.spool.Close)
	n.central = &centralPolicies{bundles: n.bundles, file: filepath.Join(n.config.Policies, centralFile), stateFile: filepath.Join(n.config.CentralDir(), "bundle.json")}
	runtime := cri.NewRuntimeServiceClient(connection)
	var err error
	n.uplink, err = uplink.New(uplink.Options{
		Addresses: n.config.Central.All(), Dir: n.config.CentralDir(), Info: func(ctx context.Context) *portcullisv1.NodeInfo { return n.config.describe(ctx, runtime, version) },
		Policies: n.central, Images: n.images, Spool: n.spool, VerdictsChanged: n.centralVerdictsChanged, Now: n.now, Log: n.log,
	})
	return err
}

// connect keeps the node connected to central until disconnect or the node's end. Of two processes on one
// state folder only one may be connected.
func (n *Node) connect() {
	if n.uplink == nil {
		return
	}
	ctx, cancel := context.WithCancel(n.ctx)
	ended := make(chan struct{})
	n.tasks.Go(func() { defer close(ended); n.uplink.Run(ctx) })
	n.disconnect = func() { cancel(); <-ended }
}

// describe describes the node to central.
func (c *Config) describe(ctx context.Context, runtime cri.RuntimeServiceClient, version string) *portcullisv1.NodeInfo {
	info := c.NodeInfo(version)
	if answer, err := runtime.Version(ctx, &cri.VersionRequest{}); err == nil {
		info.RuntimeVersion = strings.TrimSpace(answer.GetRuntimeName() + " " + answer.GetRuntimeVersion())
	}
	return info
}

// NodeInfo describes the node as far as the configuration and the machine tell.
func (c *Config) NodeInfo(version string) *portcullisv1.NodeInfo {
	info := &portcullisv1.NodeInfo{Name: c.Node, Cluster: c.Cluster, Version: version, Platform: goruntime.GOOS + "/" + goruntime.GOARCH}
	var name unix.Utsname
	if err := unix.Uname(&name); err == nil {
		info.KernelVersion = unix.ByteSliceToString(name.Release[:])
	}
	interfaces, _ := net.InterfaceAddrs() // none are known where that fails
	info.Addresses = addressesOf(interfaces)
	return info
}

// addressesOf leaves out what stands at several interfaces, as a CNI's gateway does at one of each pod: else it
// would crowd out the node's own.
func addressesOf(interfaces []net.Addr) []string {
	var addresses []string
	for _, address := range interfaces {
		ip, ok := address.(*net.IPNet)
		if ok && ip.IP.IsGlobalUnicast() && len(addresses) < 20 && !slices.Contains(addresses, ip.IP.String()) {
			addresses = append(addresses, ip.IP.String())
		}
	}
	return addresses
}

// started is who is told of starts, nil where nobody wants to know.
func (n *Node) started() func(time.Time, *policy.Container) {
	if n.uplink == nil {
		return nil
	}
	return n.uplink.Started
}

// centralVerdictsChanged forgets what central has told anew, and looks it up before it is needed.
func (n *Node) centralVerdictsChanged(imageIDs []string) {
	forgotten := n.verdicts.ForgetWhere(func(image scanner.Image) bool {
		return slices.Contains(imageIDs, image.ID) || slices.Contains(imageIDs, "sha256:"+image.ID) // as CRI-O writes it
	})
	if len(forgotten) > 0 {
		n.tasks.Go(func() { n.warm(func(image scanner.Image) bool { return slices.Contains(forgotten, image.ID) }) })
	}
}

// forgetMissedOfCentral forgets the restored verdicts that central has told anew since they were kept: the
// daemon may have been killed in between.
func (n *Node) forgetMissedOfCentral() {
	info, err := os.Stat(n.snapshotFile())
	if n.uplink == nil || err != nil {
		return
	}
	kept := info.ModTime().Add(-snapshotInterval)
	n.verdicts.ForgetWhere(func(image scanner.Image) bool { return n.uplink.ChangedSince(image.ID, kept) })
}

// decisions is who is told of Alerts and Blocks: the spool, if there is one, and then the journal.
type decisions struct {
	spool    *event.Spools
	recorder *event.Recorder
}

var _ gate.Events = decisions{}

// Record tells both. When it returns the decision is where the end of the process does not lose it.
func (d decisions) Record(at time.Time, operation string, c *policy.Container, decision *policy.Decision, told string) {
	if d.spool != nil {
		d.spool.Record(at, operation, c, decision, told)
	}
	d.recorder.Record(at, operation, c, decision, told)
}

// centralPolicies puts central's bundles in force as a file among the node's own policies.
type centralPolicies struct {
	bundles   *bundles
	file      string
	stateFile string
}

// appliedBundle says which bundle the file holds, if it is as it was written.
type appliedBundle struct {
	Number int64  `json:"number"`
	SHA256 string `json:"sha256"` // of the file, "" where the bundle holds no policies and there is no file
	// Documents is the SHA-256 of the documents as central sent them.
	Documents string `json:"documents"`
}

// Bundle is the number of central's bundle that is in force, 0 when none is or somebody changed the file.
func (p *centralPolicies) Bundle() int64 { return p.applied().Number }

// BundleSHA256 is of that bundle's documents.
func (p *centralPolicies) BundleSHA256() string { return p.applied().Documents }

// Documents are that bundle's. What is read here need not be what Bundle has seen: central says by a checksum which
// documents it means.
func (p *centralPolicies) Documents() string {
	text, err := os.ReadFile(p.file)
	if err != nil || !bytes.HasPrefix(text, []byte(fileHeading)) {
		return ""
	}
	_, documents, _ := bytes.Cut(text, []byte("\n"))
	return string(documents)
}

func (p *centralPolicies) applied() (applied appliedBundle) {
	data, err := os.ReadFile(p.stateFile)
	if err != nil || json.Unmarshal(data, &applied) != nil {
		return appliedBundle{}
	}
	data, err = os.ReadFile(p.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || applied.SHA256 != digest(data, err == nil) {
		return appliedBundle{}
	}
	return applied
}

// fileHeading is how central's file begins.
const fileHeading = "# Bundle "

// mine makes sure that a file which an operator happens to have named so is not overwritten.
func (p *centralPolicies) mine() error {
	_, err := os.Stat(p.stateFile)
	if err == nil {
		return nil
	}
	text, err := os.ReadFile(p.file)
	if err == nil && !strings.HasPrefix(string(text), fileHeading) {
		return fmt.Errorf("policies: %s is the node's own, and central's policies are to stand there; rename it", p.file)
	}
	return nil
}

func digest(data []byte, exists bool) string {
	if !exists {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Apply compiles the bundle together with the node's own policies and only then replaces the file.
func (p *centralPolicies) Apply(number int64, documents, sum string) error {
	is := digest([]byte(documents), true)
	if sum != "" && sum != is {
		return uplink.ErrOtherDocuments
	}
	var data []byte
	if strings.TrimSpace(documents) != "" {
		data = fmt.Appendf(nil, "%s%d of central. Written by portcullisd: changes are overwritten.\n%s", fileHeading, number, documents)
	}
	if err := p.mine(); err != nil {
		return err
	}
	if err := p.bundles.replace(p.file, data); err != nil {
		return err
	}
	state, err := json.Marshal(appliedBundle{Number: number, SHA256: digest(data, data != nil), Documents: is})
	if err != nil {
		return err
	}
	return atomicfile.Write(p.stateFile, state)
}

// replace puts data in the place of one policy file, or removes it where data is nil, if the policies are
// right with it, and puts them in force.
func (b *bundles) replace(path string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	sources, err := policyfile.Read(b.path)
	if err != nil {
		return err
	}
	sources = slices.DeleteFunc(sources, func(s policy.Source) bool { return s.Name == path })
	if data != nil {
		sources = append(sources, policy.Source{Name: path, Data: data})
	}
	docs, err := policy.Parse(sources...)
	if err != nil {
		return err
	}
	if _, err := policy.Compile(docs, b.options); err != nil {
		return err
	}
	if data != nil {
		err = atomicfile.Write(path, data)
	} else if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("policies: %w", err)
	}
	b.loadLocked()
	if b.failure != "" {
		return errors.New(b.failure)
	}
	return nil
}
