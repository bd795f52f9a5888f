// Package daemonclient answers: what does the portcullisd that runs on this node say of itself?
package daemonclient

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	dto "github.com/prometheus/client_model/go"
)

// Daemon is what it says.
type Daemon struct {
	Version string   `json:"version"`
	Ready   bool     `json:"ready"`
	Missing []string `json:"missing,omitempty"` // what keeps it from being ready

	RuntimeConnected bool `json:"runtimeConnected"`

	Revision          string `json:"policyRevision,omitempty"` // "" while none is in force
	Policies          int    `json:"policies"`
	PoliciesBroken    bool   `json:"policiesBroken"` // the newest are wrong, older ones are in force
	ExpiredExemptions int    `json:"expiredExemptions"`
	Reports           int    `json:"reports"`
	BrokenReports     int    `json:"brokenReports"`
	EventsLost        int    `json:"eventsLost"`
}

const (
	patience = 5 * time.Second
	maxBody  = 8 << 20
)

// Ask asks the daemon that serves its metrics at address.
func Ask(ctx context.Context, address string) (*Daemon, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	base := "http://" + reachable(address)
	ready, missing, err := get(ctx, base+"/readyz")
	if err != nil {
		return nil, err
	}
	status, exposition, err := get(ctx, base+"/metrics")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%s/metrics: status %d", base, status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(exposition))
	if err != nil || families["portcullis_build_info"] == nil {
		return nil, fmt.Errorf("%s is not a portcullisd", base)
	}
	d := read(families)
	d.Ready = ready == http.StatusOK
	if !d.Ready {
		d.Missing = strings.Split(strings.TrimSpace(missing), "\n")
	}
	return d, nil
}

// reachable turns an address to listen on into one to connect to.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

func get(ctx context.Context, url string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this machine
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	return response.StatusCode, string(text), err
}

func read(families map[string]*dto.MetricFamily) *Daemon {
	value := func(name string) float64 {
		var sum float64
		for _, m := range families[name].GetMetric() {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
		return sum
	}
	d := &Daemon{
		Version:           label(families["portcullis_build_info"], "version"),
		RuntimeConnected:  value("portcullis_runtime_connected") == 1,
		Revision:          label(families["portcullis_bundle_info"], "revision"),
		Policies:          int(value("portcullis_bundle_policies")),
		PoliciesBroken:    families["portcullis_bundle_reload_success"] != nil && value("portcullis_bundle_reload_success") == 0,
		ExpiredExemptions: int(value("portcullis_bundle_exemptions_expired")),
		Reports:           int(value("portcullis_verdict_files")),
		BrokenReports:     int(value("portcullis_verdict_files_broken")),
		EventsLost:        int(value("portcullis_events_lost_total")),
	}
	return d
}

func label(family *dto.MetricFamily, name string) string {
	for _, m := range family.GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == name {
				return l.GetValue()
			}
		}
	}
	return ""
}
