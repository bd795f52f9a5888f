package secrets

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// searchOneByOne is what a dictionary does, slowly.
func searchOneByOne(words [][]string, text string) ruleSet {
	var found ruleSet
	for rule, list := range words {
		for _, word := range list {
			if strings.Contains(asciiLower(text), word) {
				found.add(rule)
			}
		}
	}
	return found
}

func asciiLower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, text)
}

func TestADictionaryFindsWordsInWords(t *testing.T) {
	words := [][]string{{"she", "x"}, {"he"}, {"hers", "his"}, {"e"}, {"sh-"}}
	for _, text := range []string{"", "ushers", "SHE", "h", "sh-e", "sshhe", "hi-his", "hershe", "\xff\x00he"} {
		require.Equal(t, searchOneByOne(words, text), newDictionary(words).search([]byte(text)), text)
	}
}

func FuzzADictionaryFindsWhatOneByOneFinds(f *testing.F) {
	f.Add("ab,b,abc", "aabcab")
	f.Fuzz(func(t *testing.T, list, text string) {
		var words [][]string
		for word := range strings.SplitSeq(asciiLower(list), ",") {
			if word != "" && len(words) < 100 && len(word) < 100 {
				words = append(words, []string{word})
			}
		}
		if text != strings.ToValidUTF8(text, "") || list != strings.ToValidUTF8(list, "") {
			return
		}
		require.Equal(t, searchOneByOne(words, text), newDictionary(words).search([]byte(text)))
	})
}
