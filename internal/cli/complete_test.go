package cli

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNothingIsCompletedThatAShellWouldRun(t *testing.T) {
	for _, name := range []string{"no critical vulnerabilities", "registry.example.com/shop/cart:1.42", "sha256:0a", "ana@example.com", "größe"} {
		require.True(t, harmless(name), name)
	}
	for _, name := range []string{"$(reboot)", "`reboot`", "a;b", "a|b", "a>b", "a&b", `a"b`, "a'b", `a\b`, "a*", "~", "a\nb", "a\x1b[2J"} {
		require.False(t, harmless(name), name)
	}
}

func TestDurationsMayBeDays(t *testing.T) {
	for text, want := range map[string]string{"7d": "168h0m0s", "2w": "336h0m0s", "90m": "1h30m0s", "1h30m": "1h30m0s"} {
		var d duration
		require.NoError(t, d.Set(text))
		require.Equal(t, want, d.String())
	}
	for _, text := range []string{"", "7", "-1d", "-5m", "1.5d", "99999d", "d"} {
		require.Error(t, new(duration).Set(text), text)
	}
}
