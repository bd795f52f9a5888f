package secrets

import (
	"crypto/sha256"
	"encoding/hex"
	"unicode/utf8"
)

// shown is how many characters of a secret may be told, and part that no more than a quarter of it is:
// the first four of a short password would be the password.
const (
	shown = 4
	part  = 4

	hidden = "********"
)

// redact returns the form of a secret that may be stored and shown. It does not tell the length either.
func redact(secret string) string {
	if !utf8.ValidString(secret) {
		return hidden
	}
	letters := []rune(secret)
	return string(letters[:min(shown, len(letters)/part)]) + hidden
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
