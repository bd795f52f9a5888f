package relay_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"portcullis/proxy/relay"
	"portcullis/proxy/wire"
	"portcullis/proxy/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	wiretest.Conformance(t, func(_ testing.TB, runtimeSocket string, guard wire.Guard, finished func(wire.Call)) wiretest.Path {
		return relay.New(runtimeSocket, guard, relay.Options{Finished: finished, ConnectTimeout: time.Minute})
	})
}
