package secrets

import (
	"regexp"
	"strings"

	"github.com/google/osv-scalibr/veles/secrets/privatekey"
)

// wrappedBlock is a private key as it stands in another document: indented in YAML, with \n for the ends of
// its lines in JSON and environment files, or all in one line.
var wrappedBlock = regexp.MustCompile(`(-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----)((?:[A-Za-z0-9+/=\s]|\\[nrt])+)(-----END (?:[A-Z0-9]+ )?PRIVATE KEY-----)`)

var lineEnds = strings.NewReplacer(`\n`, "\n", `\r`, "\n", `\t`, "\n")

var wholeKey = finder(privatekey.NewDetector(), nil)

// wrappedKeys finds the keys that the library leaves out, because no program could read them as they stand.
func wrappedKeys(text []byte) []string {
	var found []string
	for _, at := range wrappedBlock.FindAllSubmatchIndex(text, -1) {
		block := string(text[at[0]:at[1]])
		body := lineEnds.Replace(string(text[at[4]:at[5]]))
		begin, end := string(text[at[2]:at[3]]), string(text[at[6]:at[7]])
		plain := begin + "\n" + strings.Join(strings.Fields(body), "\n") + "\n" + end
		if keyBody.MatchString(plain) && len(wholeKey([]byte(block))) == 0 && len(wholeKey([]byte(plain))) > 0 {
			found = append(found, block)
		}
	}
	return found
}
