package secrets

import (
	"bytes"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"portcullis/scanner-client/verdict"
)

// ownRules find what the library has no detector for, mostly logins in the files of well-known programs.
var ownRules = []rule{
	matcher("docker-registry-login", registryToken, `"(?:auth|identitytoken)"\s*:\s*"([A-Za-z0-9+/=._-]{8,})"`, `"auth"`, `"identitytoken"`).
		in(`(^|/)(\.docker/config\.json|\.dockercfg|\.dockerconfigjson|containers/auth\.json)$`),
	matcher("kubeconfig-key", clusterCredential, `client-key-data:\s*["']?([A-Za-z0-9+/]{40,}={0,2})`, "client-key-data:"),
	matcher("kubeconfig-token", clusterCredential, `\btoken:\s*["']?([A-Za-z0-9._-]{16,})`, "token:").
		in(`(^|/)(\.kube/config|[^/]*kubeconfig[^/]*|kubernetes/[^/]*\.conf)$`),
	matcher("maven-settings-password", registryToken, `<password>\s*([^<$\s]{2,})\s*</password>`, "<password>").in(`(^|/)settings\.xml$`),
	matcher("mysql-password", databaseLogin, `(?m)^\s*password\s*=\s*["']?([^\s"'#]+)`, "password").in(`(^|/)(\.?my\.cnf|my(sql|cnf|\.cnf)[^/]*/.*\.cnf)$`),
	matcher("netrc-password", password, `\bpassword\s+(\S+)`, "password").in(`(^|/)[._]netrc$`),
	matcher("npm-registry-login", registryToken, `(?m)_(?:authToken|auth|password)\s*=\s*["']?([^\s"'$]{8,})`, "_auth", "_password").in(`(^|/)\.?npmrc$`),
	matcher("password-hash", password, `(?m)^[^:\n]+:[$]([^:\n]{8,}):`, "$").in(`(^|/)etc/shadow-?$`),
	matcher("pgpass", databaseLogin, `(?m)^[^#:\n][^:\n]*:[^:\n]*:[^:\n]*:[^:\n]*:(.+)$`, ":").in(`(^|/)\.pgpass$`),
	matcher("pypi-registry-login", registryToken, `(?m)^\s*password\s*[=:]\s*(\S+)`, "password").in(`(^|/)\.pypirc$`),
	// The library's takes any part of a long base64 text for such a token.
	matcher("squarepersonalaccesstoken", saasToken, `(?:^|[^A-Za-z0-9+/_=-])(EAAA[A-Za-z0-9+_-]{60})(?:[^A-Za-z0-9+/_=-]|$)`, "eaaa"),
	matcher("slack-token", saasToken, `\b(xox[abprs]-[0-9A-Za-z-]{10,})`, "xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-"),
	{
		name: "env-file-password", kind: password, level: verdict.High, words: sensitiveWords,
		files: regexp.MustCompile(`(^|/)\.env(\.(local|dev|development|prod|production|stage|staging))?$`),
		find:  assignedSecrets,
	},
	{name: "wrapped-private-key", kind: privateKey, level: verdict.Critical, words: []string{"private key-----"}, find: wrappedKeys},
}

// matcher makes a rule of a pattern whose first group is the secret.
func matcher(name, kind, pattern string, words ...string) rule {
	compiled := regexp.MustCompile(pattern)
	return rule{name: name, kind: kind, level: levelOf(kind), words: words, find: func(text []byte) []string {
		var values []string
		for _, m := range compiled.FindAllSubmatch(text, -1) {
			if value := string(m[1]); !placeholder(value) {
				values = append(values, value)
			}
		}
		return values
	}}
}

func (r rule) in(files string) rule {
	r.files = regexp.MustCompile(files)
	return r
}

// urlLogin finds passwords in URLs. The type of each depends on the URL, so it is not in the table.
var urlLogin = regexp.MustCompile(`\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s:/@"'<>]*:([^\s:/@"'<>]+)@[^\s"'<>]+`)

// databases are the URL schemes of databases and queues.
var databases = []string{"postgres", "postgresql", "mysql", "mariadb", "mongodb", "mongodb+srv", "redis", "rediss", "amqp", "amqps", "mssql", "sqlserver", "oracle", "clickhouse"}

// urlFindings are the passwords in URLs, and what they open. The pattern is slow, so it sees only the words
// that may be URLs with a login.
func urlFindings(text []byte) []finding {
	var found []finding
	for {
		at := bytes.Index(text, []byte("://"))
		if at < 0 {
			return found
		}
		begin := at - min(at, longestScheme)
		end := bytes.IndexAny(text[at:], " \t\r\n\"'<>")
		if end < 0 {
			end = len(text) - at
		}
		if word := text[begin : at+end]; bytes.IndexByte(word[at-begin:], '@') >= 0 {
			found = append(found, loginsIn(word)...)
		}
		text = text[at+end:]
	}
}

// longestScheme is how many bytes of a URL's scheme are looked at.
const longestScheme = 32

func loginsIn(word []byte) []finding {
	var found []finding
	for _, m := range urlLogin.FindAllSubmatch(word, -1) {
		parsed, err := url.Parse(string(m[0]))
		if err != nil || placeholder(string(m[1])) || slices.Contains(examples, strings.ToLower(string(m[1]))) {
			continue
		}
		kind := password
		switch {
		case slices.Contains(databases, strings.ToLower(parsed.Scheme)):
			kind = databaseLogin
		case strings.Contains(parsed.Host, "github.") || strings.Contains(parsed.Host, "gitlab.") || strings.Contains(parsed.Host, "bitbucket."):
			kind = vcsToken
		}
		found = append(found, finding{rule: "url-login", kind: kind, level: levelOf(kind), value: string(m[1])})
	}
	return found
}

// examples are the passwords of manuals.
var examples = []string{"password", "passwd", "pass", "pw", "pwd", "secret", "token", "xxx", "xxxx"}

// placeholder says whether a value stands for one that is filled in later.
func placeholder(value string) bool {
	return value == "" || strings.ContainsAny(value[:1], "$<{%*") || strings.Contains(value, "${") || strings.Contains(value, "{{")
}

// assignment is NAME=VALUE, as in a shell or in an env file.
var assignment = regexp.MustCompile(`\b([A-Za-z_][A-Za-z0-9_]*)=("[^"]*"|'[^']*'|[^\s"';|&]+)`)

// sensitiveWords are the words in the names of variables that hold secrets.
var sensitiveWords = []string{"pass", "pwd", "secret", "token", "apikey", "api_key", "access_key", "private_key", "encryption_key", "credential"}

// harmless are the ends of names that are about a secret and do not hold it.
var harmless = regexp.MustCompile(`(?i)_(file|path|dir|name|id|url|uri|host|port|user|username|length|len|min|max|ttl|timeout|expiry|expires?|policy|type|algorithm|algo|enabled?|required|version|header|field|prefix)$`)

// sensitive says whether a variable of this name and value holds a secret. PWD is where a shell is, and
// a path is where a secret is kept.
func sensitive(name, value string) bool {
	lower := strings.ToLower(name)
	return slices.ContainsFunc(sensitiveWords, func(word string) bool { return strings.Contains(lower, word) }) &&
		!harmless.MatchString(name) && !placeholder(value) && !strings.HasPrefix(value, "/") &&
		value != "true" && value != "false"
}

// assignedSecrets returns the values of variables that hold secrets.
func assignedSecrets(text []byte) []string {
	var values []string
	for _, m := range assignment.FindAllSubmatch(text, -1) {
		if value := strings.Trim(string(m[2]), `"'`); sensitive(string(m[1]), value) {
			values = append(values, value)
		}
	}
	return values
}
