package grpcpath_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"portcullis/proxy/grpcpath"
	"portcullis/proxy/wire"
	"portcullis/proxy/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	wiretest.Conformance(t, func(t testing.TB, runtimeSocket string, guard wire.Guard, finished func(wire.Call)) wiretest.Path {
		runtime, err := grpcpath.Dial(runtimeSocket)
		require.NoError(t, err)
		t.Cleanup(func() { runtime.Close() })
		return grpcpath.New(runtime, guard, grpcpath.Options{Finished: finished})
	})
}
