package relay

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const kubelet, leaky = 1, 2

// crowd makes a relay that takes 16 connections, and fills it with those of a leaky process and one
// of the kubelet's.
func crowd(t *testing.T, test func(s *setup, kubelets *peer, leaked []*peer)) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, Options{Limits: Limits{Clients: 16}})
		defer s.end()
		kubelets := s.joinAs(kubelet)
		var leaked []*peer
		for range 15 {
			pass(time.Second)
			leaked = append(leaked, s.joinAs(leaky))
		}
		synctest.Wait()
		test(s, kubelets, leaked)
	})
}

// gone returns which of the peers have been hung up on.
func gone(peers []*peer) []int {
	var indexes []int
	for i, p := range peers {
		if p.over() != nil {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

func TestProcessThatLeaksConnectionsLosesItsOwnAndNobodyElses(t *testing.T) {
	crowd(t, func(s *setup, kubelets *peer, leaked []*peer) {
		require.Nil(t, s.joinAs(leaky), "there is no room for more of its own")
		for i := range 3 {
			require.NotNil(t, s.joinAs(kubelet))
			require.Contains(t, leaked[i].got(), "GOAWAY 0 last 2147483647 NO_ERROR", "it can call again elsewhere")
		}
		pass(2 * linger)
		require.Equal(t, []int{0, 1, 2}, gone(leaked), "one for each newcomer")
		require.NoError(t, kubelets.over())
		require.Len(t, s.relay.connected, 16)
	})
}

func TestConnectionWithACallUnderWayIsTheLastToMakeRoom(t *testing.T) {
	crowd(t, func(s *setup, _ *peer, leaked []*peer) {
		leaked[0].call(1, version)
		leaked[1].call(1, events) // endless
		synctest.Wait()
		require.NotNil(t, s.joinAs(kubelet))
		require.NotNil(t, s.joinAs(kubelet))
		pass(2 * linger)
		require.Equal(t, []int{2, 3}, gone(leaked), "those that have called longest ago")
		for process := range 12 {
			pass(time.Second)
			require.NotNil(t, s.joinAs(10+process))
		}
		pass(2 * linger)
		require.NotContains(t, gone(leaked), 0)
	})
}

func TestWhereNoProcessHasManyTheIdleOneMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, Options{Limits: Limits{Clients: 16}})
		defer s.end()
		var all []*peer
		for process := range 16 {
			pass(time.Second)
			all = append(all, s.joinAs(process)) // the first is of an unknown process
		}
		all[0].call(1, version)
		all[0].data(1, true, prefixed(nil))
		synctest.Wait()
		s.dialed[1].ok(1, nil)
		require.NotNil(t, s.joinAs(0))
		require.NotNil(t, s.joinAs(20))
		pass(2 * linger)
		require.Equal(t, []int{1, 2}, gone(all))
	})
}

func TestClientsOfAnAbsentRuntimeMakeRoomToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, Options{Limits: Limits{Clients: 16}})
		defer s.end()
		s.mu.Lock()
		s.absent = true
		s.mu.Unlock()
		silent, _ := net.Pipe()
		require.True(t, s.relay.begin(newClient(silent, leaky)))
		var leaked []*peer
		for range 15 {
			leaked = append(leaked, s.joinAs(leaky))
			pass(time.Millisecond)
		}
		next := s.joinAs(kubelet)
		require.NotNil(t, s.joinAs(kubelet))
		require.Contains(t, leaked[0].got(), "GOAWAY 0 last 0 NO_ERROR")
		pass(2 * linger)
		_, err := silent.Read(make([]byte, 1))
		require.Error(t, err, "it had not even said what it wants")
		require.Equal(t, []int{0}, gone(leaked))
		next.call(1, version)
		require.Contains(t, next.got()[2], "HEADERS 1 grpc-status=14")
	})
}

func TestTheKernelSaysWhoseConnectionItIs(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "p.sock"))
	require.NoError(t, err)
	defer listener.Close()
	conn, err := net.Dial("unix", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	accepted, err := listener.Accept()
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), peerProcess(accepted))
	accepted.Close()
	require.Zero(t, peerProcess(accepted))
	unnamed, _ := net.Pipe()
	require.Zero(t, peerProcess(unnamed))
}
