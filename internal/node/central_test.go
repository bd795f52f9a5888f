package node_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/node"
	"portcullis/uplink"
	"portcullis/uplink/uplinktest"
)

// member starts a daemon that has joined central.
func member(t *testing.T, central *uplinktest.Central, files map[string]string) *daemon {
	t.Helper()
	d := start(t, files)
	require.NoError(t, d.Stop())
	d.config.Central.Address, d.config.Central.SpoolSize = central.Address(), 1<<20
	_, err := uplink.Join(t.Context(), uplink.Joining{Address: central.Address(), Token: central.Token(), Dir: d.config.CentralDir(), Info: d.config.NodeInfo("test")})
	require.NoError(t, err)
	d.run(t)
	return d
}

func within(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 10*time.Millisecond)
}

func named(name, policy string) string { return strings.Replace(policy, "no criticals", name, 1) }

func TestCentralsPoliciesAndVerdictsRuleTheNodeAndDecisionsArrive(t *testing.T) {
	central := uplinktest.New(t)
	central.SetVerdict(imageID, report, "")
	d := member(t, central, nil)
	require.Equal(t, codes.OK, d.create())
	central.SetBundle(1, riskyImage("Immediate"))
	d.eventually(t, codes.PermissionDenied)
	within(t, func() bool { return central.State().GetBundle() == 1 })
	require.Equal(t, "fake", central.State().GetInfo().GetRuntimeVersion())
	require.NotEmpty(t, central.State().GetInfo().GetKernelVersion())
	var e *portcullisv1.Event
	within(t, func() bool { // before the verdict was there it may have been an alert
		for _, d := range central.Decisions() {
			if d.GetEvent().GetAction() == portcullisv1.Action_ACTION_BLOCK {
				e = d.GetEvent()
			}
		}
		return e != nil
	})
	require.Equal(t, []string{"no criticals", "n", "p", imageID}, []string{e.GetPolicy(), e.GetNamespace(), e.GetPod(), e.GetImageId()})
	require.Contains(t, e.GetMessage(), "Portcullis blocked this container")

	central.SetBundle(2, disabled(riskyImage("Immediate")))
	d.eventually(t, codes.OK)
	central.SetBundle(3, "")
	within(t, func() bool { return central.State().GetBundle() == 3 })
	require.NoFileExists(t, filepath.Join(d.config.Policies, "central.yaml"))
	require.Equal(t, 2, central.Edits(), "what is in the file was edited")
}

func TestWithCentralAwayWhatWasInForceStaysThroughARestart(t *testing.T) {
	central := uplinktest.New(t)
	central.SetVerdict(imageID, report, "")
	central.SetBundle(4, riskyImage("Immediate"))
	d := member(t, central, nil)
	d.eventually(t, codes.PermissionDenied)
	central.Stop()
	require.NoError(t, d.Stop())
	before := central.Count()
	d.run(t)
	d.eventually(t, codes.PermissionDenied)
	require.Equal(t, codes.PermissionDenied, d.create())
	code, _ := d.get(t, "/readyz")
	require.Equal(t, 200, code)
	_, metrics := d.get(t, "/metrics")
	for _, line := range []string{
		"portcullis_uplink_connected 0", "portcullis_uplink_bundle 4", "portcullis_uplink_verdicts_mirrored 1",
		"portcullis_uplink_bundle_rejected 0", "portcullis_spool_writable 1", "portcullis_spool_bytes ", "portcullis_spool_records ",
		"portcullis_uplink_decisions_uploaded_total 0", "portcullis_spool_damaged_records_total 0", "portcullis_spool_held_decisions 0",
	} {
		require.Contains(t, metrics, line)
	}
	central.Serve(t, central.Authority, time.Now().Add(-time.Hour), time.Hour*24)
	within(t, func() bool { return central.Count() > before })
}

func TestABundleThatDoesNotCompileWithTheNodesOwnPoliciesChangesNothing(t *testing.T) {
	central := uplinktest.New(t)
	central.SetVerdict(imageID, report, "")
	central.SetBundle(1, named("from central", riskyImage("Immediate")))
	d := member(t, central, map[string]string{"policies/own.yaml": riskyImage("Observe, days: 7")})
	d.eventually(t, codes.PermissionDenied)
	file := filepath.Join(d.config.Policies, "central.yaml")
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(good), "# Bundle 1 of central. Written by portcullisd: changes are overwritten.\n"))

	central.SetBundle(2, riskyImage("Immediate")) // a name that the node's own policy has
	within(t, func() bool { return central.State().GetRejectedBundle() == 2 })
	require.Contains(t, central.State().GetRejection(), `"no criticals" is already the name of`)
	require.Equal(t, int64(1), central.State().GetBundle())
	now, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(good), string(now))
	_, metrics := d.get(t, "/metrics")
	require.Contains(t, metrics, "portcullis_bundle_reload_success 1", "the files are as they were")
	require.Contains(t, metrics, "portcullis_uplink_bundle_rejected 2")
	require.Equal(t, codes.PermissionDenied, d.create())
}

func TestAFileOfCentralThatSomebodyEditedIsWrittenAnew(t *testing.T) {
	central := uplinktest.New(t)
	central.SetBundle(1, riskyImage("Immediate"))
	d := member(t, central, nil)
	file := filepath.Join(d.config.Policies, "central.yaml")
	within(t, func() bool { return central.State().GetBundle() == 1 })
	require.NoError(t, d.Stop())
	require.NoError(t, os.WriteFile(file, []byte("# gone\n"+disabled(riskyImage("Immediate"))), 0o600))
	d.run(t)
	within(t, func() bool {
		text, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(text), "enabled: true")
	})
}

func TestAnOperatorsOwnFileOfThatNameIsNotOverwritten(t *testing.T) {
	central := uplinktest.New(t)
	central.SetBundle(1, named("from central", riskyImage("Immediate")))
	d := member(t, central, map[string]string{"policies/central.yaml": riskyImage("Immediate")})
	within(t, func() bool { return central.State().GetRejectedBundle() == 1 })
	require.Contains(t, central.State().GetRejection(), "central.yaml is the node's own")
	text, err := os.ReadFile(filepath.Join(d.config.Policies, "central.yaml"))
	require.NoError(t, err)
	require.Equal(t, riskyImage("Immediate"), string(text))
}

func TestWithoutCentralNoSpoolIsWritten(t *testing.T) {
	d := start(t, map[string]string{"policies/a.yaml": riskyImage("Immediate"), "reports/r.json": report})
	d.eventually(t, codes.PermissionDenied)
	require.NoDirExists(t, filepath.Join(d.config.State, "spool"))
	require.NoDirExists(t, d.config.CentralDir())
	_, metrics := d.get(t, "/metrics")
	require.NotContains(t, metrics, "portcullis_uplink_connected")
}

func TestMistakesAboutCentralSayWhatToWriteInstead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "policies.yaml")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	const good = "runtime: /run/none/r.sock\n"
	for name, c := range map[string]struct{ in, want string }{
		"no address":           {"central: {spoolSize: 2000000}\n", "central.address: required; write the address of central, such as https://central.example.com:8443"},
		"plain HTTP":           {"central: {address: http://c:8443}\n", `central.address: "http://c:8443" is not the address of central; write https://HOST:PORT`},
		"two keys for one":     {"central: {address: https://c:8443, addresses: [https://d:8443]}\n", "central.addresses: central.address is set as well; write all addresses here and leave that out"},
		"one of several":       {"central: {addresses: [https://c:8443, d]}\n", `central.addresses[1]: "d" is not the address of central; write https://HOST:PORT`},
		"one replica twice":    {"central: {addresses: [https://c:8443, https://c:8443]}\n", "central.addresses[1]: https://c:8443 is there twice; write each replica once"},
		"too many":             {"central: {addresses: [" + strings.Repeat("https://c:1, ", 17) + "]}\n", "central.addresses: are 17; write at most 16"},
		"a small spool":        {"central: {address: https://c:8443, spoolSize: 5}\n", "central.spoolSize: 5 is out of range; set 1048576 to"},
		"policies in one file": {fmt.Sprintf("central: {address: https://c:8443}\npolicies: %s\n", file), "is a file; central's policies are put beside the node's own, so name a folder"},
		"its name for another": {"sources: [{name: central, reports: /r}]\n", `"central" is how what central tells is called; choose another`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readConfig(t, good+c.in)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestAnotherBundleUnderTheNumberThatTheNodeHoldsIsTakenAfterARestore(t *testing.T) {
	central := uplinktest.New(t)
	central.SetVerdict(imageID, report, "")
	central.SetBundle(1, disabled(riskyImage("Immediate")))
	d := member(t, central, nil)
	within(t, func() bool { return central.State().GetBundle() == 1 })
	require.NoError(t, d.Stop())
	central.SetBundle(1, riskyImage("Immediate"))
	d.run(t)
	d.eventually(t, codes.PermissionDenied)
}

func TestAnAddressOfManyInterfacesCrowdsOutTheNodesOwn(t *testing.T) {
	address := func(a, b, c, d byte) net.Addr {
		return &net.IPNet{IP: net.IPv4(a, b, c, d), Mask: net.CIDRMask(24, 32)}
	}
	interfaces := []net.Addr{address(127, 0, 0, 1)}
	for range 30 {
		interfaces = append(interfaces, address(10, 88, 1, 1))
	}
	interfaces = append(interfaces, address(192, 0, 2, 7))
	require.Equal(t, []string{"10.88.1.1", "192.0.2.7"}, node.AddressesOf(interfaces))
}
