package adapter

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/formats/harbor"
)

const (
	requestType  = "application/vnd.scanner.adapter.scan.request+json; version=1.0"
	responseType = "application/vnd.scanner.adapter.scan.response+json; version=1.0"

	// smallBody bounds an answer that is no report, in bytes.
	smallBody = 64 << 10
	// longestWait bounds how long the adapter may ask to wait before the next question.
	longestWait = time.Minute
	// patience is how often a scan may be unknown before it counts as lost: an adapter of several
	// replicas may be asked before it has stored what it has just accepted.
	patience = 3
)

// errUnknownScan says that the adapter does not know, or not any more, a scan that it has accepted.
var errUnknownScan = errors.New("the adapter does not know the scan it has accepted")

func newTransport(caFile string) (*http.Transport, error) {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   4,
		ForceAttemptHTTP2:     true,
	}
	if caFile == "" {
		return transport, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("adapter: CA file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("adapter: CA file %s: no certificate in it; write PEM", caFile)
	}
	transport.TLSClientConfig.RootCAs = roots
	return transport, nil
}

// request asks for a scan and returns its ID.
func (c *Client) request(ctx context.Context, scan request) (string, error) {
	body, err := json.Marshal(scan)
	if err != nil {
		return "", err
	}
	response, err := c.do(ctx, http.MethodPost, "/scan", bytes.NewReader(body), responseType)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	// The specification says 202; adapters that answer 200 or 201 mean the same.
	if response.StatusCode/100 != 2 {
		return "", c.refusal("scan request", response)
	}
	data, err := readAll(response.Body, smallBody)
	if err != nil {
		return "", fmt.Errorf("scan request: %w", err)
	}
	var accepted struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(data, &accepted); err != nil || accepted.ID == "" {
		return "", errors.New("scan request: the answer names no scan")
	}
	return accepted.ID, nil
}

// await asks for the report of a scan until it is there.
func (c *Client) await(ctx context.Context, scan string) (*formats.Report, error) {
	unknown, underWay := 0, false
	for {
		report, wait, err := c.report(ctx, scan)
		switch {
		case errors.Is(err, errUnknownScan):
			if unknown++; unknown <= patience {
				wait, err = c.options.Poll, nil
			}
		case underWay && report == nil && err != nil && ctx.Err() != nil:
			return nil, fmt.Errorf("%w: %w", scanner.ErrPending, ctx.Err())
		}
		if err != nil || report != nil {
			return report, err
		}
		underWay = underWay || unknown == 0
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if !underWay {
				return nil, fmt.Errorf("%w: %w", errUnknownScan, ctx.Err())
			}
			return nil, fmt.Errorf("%w: %w", scanner.ErrPending, ctx.Err())
		}
	}
}

// report asks for a report once. Without a report and without an error it is to be asked for again after
// wait.
func (c *Client) report(ctx context.Context, scan string) (report *formats.Report, wait time.Duration, err error) {
	response, err := c.do(ctx, http.MethodGet, "/scan/"+url.PathEscape(scan)+"/report", nil, harbor.MediaType)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		report, err = readReport(response.Body, c.options.MaxReport)
		if err != nil {
			return report, 0, fmt.Errorf("report: %w", err)
		}
		return report, 0, nil
	case http.StatusFound:
		return nil, c.wait(response.Header), nil
	case http.StatusNotFound:
		return nil, 0, errUnknownScan
	}
	return nil, 0, c.refusal("report", response)
}

// wait is how long the adapter wants to be left alone.
func (c *Client) wait(header http.Header) time.Duration {
	value := header.Get("Refresh-After")
	if value == "" {
		value = header.Get("Retry-After")
	}
	seconds, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || seconds <= 0 {
		return c.options.Poll
	}
	return min(time.Duration(min(seconds, 3600))*time.Second, longestWait)
}

func (c *Client) do(ctx context.Context, method, path string, body io.Reader, accept string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", accept) // alone: adapters compare it with what they write
	if body != nil {
		r.Header.Set("Content-Type", requestType)
	}
	switch auth := c.options.Auth; {
	case auth.Token != "":
		r.Header.Set("Authorization", "Bearer "+auth.Token)
	case auth.Username != "":
		r.SetBasicAuth(auth.Username, auth.Password)
	}
	return c.http.Do(r)
}

// refusal puts an answer that is an error into words: the adapter's own, shortened, where it has any.
func (c *Client) refusal(what string, response *http.Response) error {
	var said struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	// The text of the status line is the adapter's, and might repeat what it was sent.
	status := fmt.Sprintf("%d %s", response.StatusCode, http.StatusText(response.StatusCode))
	data, err := readAll(response.Body, smallBody)
	if err != nil || json.Unmarshal(data, &said) != nil || said.Error.Message == "" {
		return fmt.Errorf("%s: %s", what, status)
	}
	return fmt.Errorf("%s: %s: %.200q", what, status, c.hidden(said.Error.Message))
}
