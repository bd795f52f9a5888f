package rpc_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"portcullis/central/rpc"
	"portcullis/central/store"
)

func TestWhatIsNotThereIsNamedAndTheDriverIsNotQuoted(t *testing.T) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	driver := errors.New("sql: SELECT secret FROM tokens")
	for err, want := range map[error]string{
		fmt.Errorf("report %q: %w", "x", fmt.Errorf("%w: %w", store.ErrNotFound, driver)):                `report "x": not found`,
		fmt.Errorf("report %q: %w (again)", "x", fmt.Errorf("%w: %w", store.ErrNotFound, driver)):        "not found",
		fmt.Errorf("report %q: %w", "x", store.ErrNotFound):                                              `report "x": not found`,
		fmt.Errorf("a: %w", fmt.Errorf("%w: %w", driver, fmt.Errorf("%w: %w", driver, store.ErrExists))): "a: " + store.ErrExists.Error(),
	} {
		var told *connect.Error
		require.ErrorAs(t, rpc.Error(err, log), &told)
		require.Equal(t, want, told.Message())
	}
}
