package centralapp

import (
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHandshakesWaitForTheirTurnAndNobodyKeepsItForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		verified := 0
		config := newEntrance().guard(&tls.Config{VerifyConnection: func(tls.ConnectionState) error { verified++; return nil }})
		var begun []*tls.Config
		began := time.Now()
		begin := func() time.Duration {
			mine, err := config.GetConfigForClient(nil)
			require.NoError(t, err)
			begun = append(begun, mine)
			return time.Since(began)
		}
		for range handshakes {
			require.Zero(t, begin())
		}
		require.NoError(t, begun[0].VerifyConnection(tls.ConnectionState{}))
		require.Equal(t, 1, verified)
		require.Zero(t, begin(), "the first has ended")
		require.Equal(t, handshakeTurn, begin(), "the others say nothing")
		require.NoError(t, begun[1].VerifyConnection(tls.ConnectionState{}), "it took long, but is welcome")
	})
}

func TestAHandshakeDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := &entrance{make(chan struct{})}
		_, err := full.enter()
		require.ErrorIs(t, err, errCrowded)
	})
}
