package relay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimeoutThatMakesNoSenseIsNone(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"1S": time.Second, "500m": 500 * time.Millisecond, "20u": 20 * time.Microsecond, "3n": 3, "2M": 2 * time.Minute, "1H": time.Hour,
		"": 0, "S": 0, "1": 0, "1x": 0, "-1S": 0, "+1S": 0, "1.5S": 0, "123456789S": 0, "99999999H": 0,
	} {
		require.Equal(t, want, timeout(header), header)
	}
}

func TestTextOfARefusalSurvivesItsEncoding(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "100%": "100%25", "two\nlines": "two%0Alines", "é": "%C3%A9", "~": "~", "\x7f": "%7F", "\xff": "%EF%BF%BD",
	} {
		require.Equal(t, want, percentEncode(text))
	}
	require.Equal(t, "ab", cut("ab%C3%A9", 4))
	require.Equal(t, "ab%C3", cut("ab%C3%A9", 5))
}
