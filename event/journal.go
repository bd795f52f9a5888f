package event

import (
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/sirupsen/logrus"

	"portcullis/policy"
)

// journalSink writes each event as one structured journal entry.
type journalSink struct{}

// NewSink returns a sink that writes to journald, or to log on a machine without a journal.
func NewSink(log logrus.FieldLogger) Sink {
	if journal.Enabled() {
		return fallback{journalSink{}, LogSink(log), log}
	}
	log.Info("no journald on this machine; events go to this log")
	return LogSink(log)
}

func (journalSink) Write(e Event) error {
	vars := map[string]string{"MESSAGE_ID": MessageID}
	for name, value := range fields(e) {
		if text := fmt.Sprint(value); text != "" {
			vars["PORTCULLIS_"+strings.ToUpper(name)] = text
		}
	}
	priority := journal.PriWarning
	if e.Decision.Action == policy.Alert {
		priority = journal.PriNotice
	}
	if err := journal.Send(e.Message(), priority, vars); err != nil {
		return fmt.Errorf("journald: %w", err)
	}
	return nil
}

// LogSink returns a sink that writes events as entries of log.
func LogSink(log logrus.FieldLogger) Sink { return logSink{log} }

type logSink struct{ log logrus.FieldLogger }

func (s logSink) Write(e Event) error {
	s.log.WithFields(fields(e)).Warn(e.Message())
	return nil
}

// fallback keeps an event that the first sink could not take: journald may be restarting.
type fallback struct {
	first, second Sink
	log           logrus.FieldLogger
}

func (s fallback) Write(e Event) error {
	err := s.first.Write(e)
	if err == nil {
		return nil
	}
	s.log.WithError(err).Warn("event goes to this log instead")
	return s.second.Write(e)
}
