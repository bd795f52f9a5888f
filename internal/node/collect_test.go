package node

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGarbageMayNotTakeAsMuchAsAFullCache(t *testing.T) {
	require.Equal(t, 100, collectAt(0), "collecting often would slow calls down, for little memory")
	for _, verdicts := range []int{4 << 20, 16 << 20, 32 << 20} {
		require.LessOrEqual(t, (ownHeap+verdicts)*collectAt(verdicts)/100, spare)
	}
	require.Equal(t, leastPercent, collectAt(1<<30))
}
