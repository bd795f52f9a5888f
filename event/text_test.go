package event_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"portcullis/event"
)

func TestTheMessageIsOneLineWhateverAPodIsCalled(t *testing.T) {
	c := container("a")
	c.Name = "app\nblocked nothing\x1b[2J"
	e := event.Event{Container: c, Decision: blocked("CVE-2021-44228"), Count: 1}
	require.Equal(t, `blocked shop/a container app�blocked nothing�[2J, image cart:1: policy "no criticals": CVE-2021-44228 Critical in p 1 (no fix yet)`, e.Message())
	e.Count, e.First = 7, time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	require.Contains(t, e.Message(), "(7 times since 2026-11-01T12:00:00Z)")
}

func TestWithoutAJournalTheLogHoldsTheSameFields(t *testing.T) {
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	log.SetFormatter(&logrus.JSONFormatter{})
	cves := strings.Fields(strings.Repeat("CVE-2021-44228 ", 60))
	require.NoError(t, event.LogSink(log).Write(event.Event{Operation: "CreateContainer", Node: "n1", Container: container("a"), Decision: blocked(cves...), Count: 2}))
	var entry map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &entry))
	for field, want := range map[string]any{
		"action": "block", "policy": "no criticals", "reason": "policy", "image": "cart:1", "image_id": "sha256:1",
		"namespace": "shop", "pod": "a", "pod_uid": "uid-a", "container": "app", "node": "n1", "revision": "r1", "count": 2.0,
	} {
		require.Equal(t, want, entry[field], field)
	}
	var findings []struct {
		Policy        string `json:"policy"`
		Vulnerability struct {
			ID string `json:"id"`
		} `json:"vulnerability"`
	}
	require.NoError(t, json.Unmarshal([]byte(entry["findings"].(string)), &findings))
	require.Len(t, findings, 50)
	require.Equal(t, "no criticals", findings[0].Policy)
	require.Equal(t, "CVE-2021-44228", findings[0].Vulnerability.ID)
}
