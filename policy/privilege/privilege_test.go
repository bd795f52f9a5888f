package privilege_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/policy"
	"portcullis/policy/privilege"
)

// The cases in policy/testdata show every parameter; here stands what a case file cannot say.

func TestNothingKnownIsNoPanic(t *testing.T) {
	require.NotPanics(t, func() {
		privilege.Asks(nil, nil, privilege.Host{})
		privilege.Asks(nil, &cri.ContainerConfig{Mounts: []*cri.Mount{nil, {}}, Devices: []*cri.Device{nil}}, privilege.Host{})
		privilege.Asks(&cri.PodSandboxConfig{PortMappings: []*cri.PortMapping{nil}}, nil, privilege.Host{})
	})
}

func TestAsksAreSortedAndEachStandsOnce(t *testing.T) {
	asks := privilege.Asks(
		&cri.PodSandboxConfig{Linux: &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurityContext{
			NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE}, Privileged: true,
		}}},
		&cri.ContainerConfig{
			Mounts: []*cri.Mount{{HostPath: "/srv/b"}, {HostPath: "/srv/a"}, {HostPath: "/srv/b"}},
			Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE}, Privileged: true,
			}},
		}, privilege.Host{})
	require.True(t, slices.IsSortedFunc(asks, policy.CompareAsks))
	require.Equal(t, asks, slices.Compact(slices.Clone(asks)))
	require.Equal(t, policy.Ask{Parameter: "privileged"}, asks[0])
}

func mounting(path string, host privilege.Host) []policy.Ask {
	sandbox := &cri.PodSandboxConfig{Metadata: &cri.PodSandboxMetadata{Uid: "6f1c", Name: "web", Namespace: "shop"}}
	asks := privilege.Asks(sandbox, &cri.ContainerConfig{Mounts: []*cri.Mount{{HostPath: path}}}, host)
	return slices.DeleteFunc(asks, func(a policy.Ask) bool {
		return a.Parameter != "runtime-socket" && a.Parameter != "host-path-sensitive" && a.Parameter != "host-path"
	})
}

func TestWhatUninstallAndScannerGoByIsSensitive(t *testing.T) {
	for _, path := range []string{"/var/lib/portcullis/install.json", "/var/lib/portcullis/osv/osv-scalibr", "/var/lib/portcullis"} {
		require.Contains(t, mounting(path, privilege.Host{}), policy.Ask{Parameter: "host-path-sensitive", Detail: path})
	}
}

func TestALinkOnTheWayToWhatDoesNotExistYetIsFollowed(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.Symlink("/etc", filepath.Join(root, "link")))
	path := filepath.Join(root, "link", "does-not-exist-yet", "x")
	asks := mounting(path, privilege.Host{ResolveSymlinks: filepath.EvalSymlinks})
	resolved := path + " → /etc/does-not-exist-yet/x"
	require.Equal(t, []policy.Ask{
		{Parameter: "runtime-socket", Detail: resolved + ", through the link " + filepath.Join(root, "link") + ", which may be exchanged"},
		{Parameter: "host-path-sensitive", Detail: resolved},
		{Parameter: "host-path", Detail: resolved},
	}, asks)
}

// /var/run and the like are as firm as the system itself.
func TestLinksOfTheSystemAreNotTakenForOnesThatMayChange(t *testing.T) {
	links := map[string]string{"/bin": "/usr/bin", "/srv": "/var/srv"}
	host := privilege.Host{ResolveSymlinks: func(path string) (string, error) {
		for link, target := range links {
			if rest, ok := strings.CutPrefix(path, link); ok {
				return target + rest, nil
			}
		}
		return filepath.Clean(path), nil
	}}
	require.Equal(t, []policy.Ask{{Parameter: "host-path", Detail: "/srv/data → /var/srv/data"}}, mounting("/srv/data", host))
}

func TestPathsThatCannotBeResolvedAreTakenAsWritten(t *testing.T) {
	broken := func(string) (string, error) { return "", errors.New("permission denied") }
	require.Equal(t, []policy.Ask{{Parameter: "host-path", Detail: "/srv/data"}}, mounting("/srv/data", privilege.Host{ResolveSymlinks: broken}))
}

func TestWithoutAMountTableASubPathIsTheKubeletsOwn(t *testing.T) {
	const path = "/var/lib/kubelet/pods/6f1c/volume-subpaths/v/c/0"
	require.Empty(t, mounting(path, privilege.Host{}))
	require.Empty(t, mounting(path, privilege.Host{Mounts: func() ([]byte, error) { return nil, errors.New("no /proc") }}))
	require.Empty(t, mounting(path, privilege.Host{Mounts: func() ([]byte, error) { return []byte("short line\n\n"), nil }}))
}

func TestSpacesInTheMountTable(t *testing.T) {
	table := func() ([]byte, error) {
		return []byte("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n" +
			`2 1 8:1 /srv/my\040data /var/lib/kubelet/pods/6f1c/volume-subpaths/v/c/0 rw - ext4 /dev/sda1 rw` + "\n"), nil
	}
	const path = "/var/lib/kubelet/pods/6f1c/volume-subpaths/v/c/0"
	require.Equal(t, []policy.Ask{{Parameter: "host-path", Detail: path + " → /srv/my data"}}, mounting(path, privilege.Host{Mounts: table}))
}

func FuzzAPathOutsideThePodsDirectoriesIsAHostPath(f *testing.F) {
	f.Add("/var/lib/kubelet/pods/6f1c/../../x")
	f.Add("//var/run/./docker.sock")
	f.Add("/proc/self/root/proc/1/root/etc")
	f.Fuzz(func(t *testing.T, path string) {
		if path == "" {
			return
		}
		own := []string{"/var/lib/kubelet/pods/6f1c", "/var/log/pods/shop_web_6f1c"}
		clean := filepath.Clean("/" + path)
		inside := slices.ContainsFunc(own, func(d string) bool { return clean == d || len(clean) > len(d) && clean[:len(d)+1] == d+"/" })
		if !inside && len(clean) > 5 && clean[:5] != "/proc" { // /proc/N/root leads anywhere, the own directory too
			require.NotEmpty(t, mounting(path, privilege.Host{}), "%q", path)
		}
	})
}
