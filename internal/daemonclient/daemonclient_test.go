package daemonclient_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/internal/daemonclient"
)

const exposition = `# TYPE portcullis_build_info gauge
portcullis_build_info{version="v1"} 1
# TYPE portcullis_bundle_info gauge
portcullis_bundle_info{revision="abc"} 1
# TYPE portcullis_bundle_policies gauge
portcullis_bundle_policies 2
# TYPE portcullis_bundle_reload_success gauge
portcullis_bundle_reload_success 0
# TYPE portcullis_events_lost_total counter
portcullis_events_lost_total 3
`

func serve(t *testing.T, metrics string) (address string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, metrics) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not connected to the container runtime")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestDaemonThatIsNotReadySaysWhatItLacks(t *testing.T) {
	d, err := daemonclient.Ask(context.Background(), serve(t, exposition))
	require.NoError(t, err)
	require.Equal(t, &daemonclient.Daemon{
		Version: "v1", Missing: []string{"not connected to the container runtime"},
		Revision: "abc", Policies: 2, PoliciesBroken: true, EventsLost: 3,
	}, d)
}

func TestAnotherProgramAtTheAddressIsNotTakenForTheDaemon(t *testing.T) {
	for _, metrics := range []string{"node_cpu_seconds_total 1\n", "<html>"} {
		_, err := daemonclient.Ask(context.Background(), serve(t, metrics))
		require.ErrorContains(t, err, "is not a portcullisd")
	}
}

func TestNobodyAtTheAddressIsAnError(t *testing.T) {
	server := httptest.NewServer(nil)
	address := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	_, err := daemonclient.Ask(context.Background(), address)
	require.ErrorContains(t, err, "refused")
}
