package secrets

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"portcullis/cmd/portcullis-scan/rootfs"
	"portcullis/cmd/portcullis-scan/worst"
	"portcullis/scanner-client/verdict"
)

// Config looks for secrets in an image's config and in the history of its build. What it tells of a
// build step is the instruction and the name of the variable, never the step's own text: that may hold
// a secret that no rule knows.
func (s *Scan) Config(config *v1.ConfigFile) {
	c := &configScan{list: s.found, seen: map[string]bool{}}
	for _, variable := range config.Config.Env {
		name, value, _ := strings.Cut(variable, "=")
		c.variable("ENV "+name+"=", name, value)
		c.text("ENV "+name+"=", variable)
	}
	c.command("CMD: ", strings.Join(slices.Concat(config.Config.Entrypoint, config.Config.Cmd), " "))
	if check := config.Config.Healthcheck; check != nil {
		c.command("HEALTHCHECK: ", strings.Join(check.Test, " "))
	}
	for _, step := range config.Config.OnBuild {
		c.command("ONBUILD: ", step)
	}
	for _, key := range slices.Sorted(maps.Keys(config.Config.Labels)) {
		value := config.Config.Labels[key]
		c.variable("LABEL "+key+"=", labelSeparators.Replace(key), value)
		c.text("LABEL "+key+"=", value)
	}
	for i, step := range config.History {
		where := fmt.Sprintf("step %d, %s: ", i+1, instruction(step.CreatedBy))
		c.command(where, step.CreatedBy)
		c.text(where, step.Comment)
	}
	if startsAsRoot(config.Config.User) {
		c.remark("USER root", "root-start-user", verdict.Low)
	}
}

// labelSeparators make the key of a label the name of a variable.
var labelSeparators = strings.NewReplacer(".", "_", "-", "_", "/", "_")

// longest is how many characters of a name from the config are told.
const longest = 200

// configScan adds findings; a secret counts once, where it is seen first.
type configScan struct {
	list    *worst.List[verdict.Secret]
	seen    map[string]bool // by SHA-256
	secrets int
}

func (c *configScan) add(where string, f finding) {
	c.secrets++
	secret := f.report()
	if c.seen[secret.SHA256] {
		return
	}
	c.seen[secret.SHA256] = true
	secret.History = strings.ToValidUTF8(where[:min(longest, len(where))], "") + secret.Redacted
	c.list.Add(secret)
}

// remark adds a finding that has no secret.
func (c *configScan) remark(where, rule string, level verdict.Severity) {
	c.list.Add(verdict.Secret{History: where, Rule: rule, Type: riskyBuildHistory, Level: level})
}

// text applies the rules for files to a text of the config.
func (c *configScan) text(where, text string) {
	for _, f := range textFindings(rootfs.File{}, []byte(text)) {
		c.add(where, f)
	}
}

// variable looks at one variable. A token that a rule knows says more than that a name sounds secret.
func (c *configScan) variable(where, name, value string) {
	if sensitive(name, value) {
		c.text(where, value)
		c.add(where, finding{rule: "password-in-variable", kind: riskyBuildHistory, level: verdict.High, value: value})
	}
}

// spoken are the ways in which commands are told a password; the first group is the password.
var spoken = []struct {
	rule    string
	pattern *regexp.Regexp
}{
	{"authorization", regexp.MustCompile(`(?i)\bauthorization:\s*(?:basic|bearer|token)\s+([A-Za-z0-9+/=._~-]{8,})`)},
	{chpasswd, regexp.MustCompile(`['"\s][^\s'":|]+:([^\s'"|]+)['"]?\s*\|[^|;&]*\bchpasswd\b`)},
	{chpasswd, regexp.MustCompile(`\bchpasswd\b[^|;&]*<<<\s*['"]?[^\s'":]+:([^\s'"]+)`)},
	{"curl-login", regexp.MustCompile(`\bcurl\b[^|;&]*\s(?:-u|--user)[= ]?['"]?[^\s'":]+:([^\s'"]+)`)},
	{"mysql-password", regexp.MustCompile(`\bmysql(?:admin|dump)?\b[^|;&]*\s-p['"]?([^\s'"-][^\s'"]*)`)},
	{"passwd-stdin", regexp.MustCompile(`\becho\s+(?:-\S+\s+)*['"]?([^\s'"|]+)['"]?\s*\|[^|;&]*\bpasswd\b[^|;&]*--stdin`)},
	{"password-option", regexp.MustCompile(`--(?:[a-z-]*-)?pass(?:word|wd|phrase)?[= ]['"]?([^\s'"]+)`)},
	{"private-token", regexp.MustCompile(`(?i)\b(?:private|deploy|job)-token:\s*([A-Za-z0-9_-]{8,})`)},
	{"sshpass", regexp.MustCompile(`\bsshpass\s+-p\s*['"]?([^\s'"]+)`)},
	{"usermod-password", regexp.MustCompile(`\buser(?:add|mod)\b[^|;&]*\s-p\s*['"]?([^\s'"]+)`)},
}

const chpasswd = "chpasswd"

var callsChpasswd = regexp.MustCompile(`\bchpasswd\b`)

// command looks at the text of a build step or of the start command.
func (c *configScan) command(where, text string) {
	for _, m := range assignment.FindAllStringSubmatch(text, -1) {
		c.variable(where+m[1]+"=", m[1], strings.Trim(m[2], `"'`))
	}
	c.text(where, text)
	before := c.secrets
	for _, s := range spoken {
		for _, m := range s.pattern.FindAllStringSubmatch(text, -1) {
			if !placeholder(m[1]) {
				c.add(where+s.rule+" ", finding{rule: s.rule, kind: riskyBuildHistory, level: verdict.High, value: m[1]})
			}
		}
	}
	if c.secrets == before && callsChpasswd.MatchString(text) {
		c.remark(where+chpasswd, chpasswd, verdict.Medium)
	}
}

var legacyInstruction = regexp.MustCompile(`^/bin/sh -c #\(nop\)\s+`)

// instruction returns the word of the Dockerfile that made a step.
func instruction(createdBy string) string {
	text := legacyInstruction.ReplaceAllString(createdBy, "")
	word := before(strings.TrimSpace(text), " ")
	switch word {
	case "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "HEALTHCHECK", "LABEL", "ONBUILD", "SHELL", "USER", "WORKDIR":
		return word
	}
	return "RUN"
}

func before(text, separator string) string {
	head, _, _ := strings.Cut(text, separator)
	return head
}

// startsAsRoot says whether a container starts as root when its pod says nothing about it.
func startsAsRoot(user string) bool {
	name := before(user, ":")
	number, err := strconv.Atoi(name) // as runtimes do, which take +0 and 000
	return name == "" || name == "root" || err == nil && number == 0
}
