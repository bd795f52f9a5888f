package secrets

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/cmd/portcullis-scan/rootfs"
	"portcullis/scanner-client/verdict"
)

// Secrets in these tests are made when they run: nothing here may look like one to those who scan
// repositories.

const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + lower
	digits  = "0123456789"
	hexa    = digits + "abcdef"
	base62  = digits + letters
)

// chars is a text of n characters that is always the same.
func chars(set string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteByte(set[(i*i*7+i*13+5)%len(set)])
	}
	return b.String()
}

func uuid() string { return "01234567-89ab-4cde-8f01-23456789abcd" }

// githubToken is a GitHub token, which ends in a checksum.
func githubToken(prefix string, n int) string {
	body := chars(base62, n)
	sum, check := crc32.ChecksumIEEE([]byte(body)), make([]byte, 6)
	for i := 5; i >= 0; i-- {
		check[i] = (digits + strings.ToUpper(lower) + lower)[sum%62]
		sum /= 62
	}
	return prefix + body + string(check)
}

func fineGrained() string {
	body := chars(base62, 22) + "_" + chars(base62, 53)
	token := "pat_" + body
	sum, check := crc32.ChecksumIEEE([]byte(token)), make([]byte, 6)
	for i := 5; i >= 0; i-- {
		check[i] = (digits + strings.ToUpper(lower) + lower)[sum%62]
		sum /= 62
	}
	return "github_" + token + string(check)
}

func webToken(claims map[string]any) string {
	encode := func(v any) string {
		raw, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	return encode(map[string]string{"alg": "HS256", "typ": "JWT"}) + "." + encode(claims) + "." + base64.RawURLEncoding.EncodeToString([]byte(chars(base62, 32)))
}

func pemKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func serviceAccountKey(t *testing.T) string {
	raw, err := json.MarshalIndent(map[string]string{
		"type": "service_account", "private_key_id": chars(hexa, 40), "private_key": pemKey(t), "client_email": "a@b.iam.example.com",
		"auth_provider_x509_cert_url": "https://example.com/certs",
	}, "", "  ")
	require.NoError(t, err)
	return string(raw)
}

// vapidKeys makes a pair that the library finds: it misses the one private key in 64 that begins with a dash,
// because it looks for whole words.
func vapidKeys(t *testing.T) string {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	b64 := base64.RawURLEncoding
	if strings.HasPrefix(b64.EncodeToString(key.Bytes()), "-") {
		return vapidKeys(t)
	}
	return "VAPID_PUBLIC=\n" + b64.EncodeToString(key.PublicKey().Bytes()) + "\nVAPID_PRIVATE=\n" + b64.EncodeToString(key.Bytes()) + "\n"
}

func tink() string {
	return `{"primaryKeyId":1976038263,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.AesGcmKey","value":"` +
		base64.StdEncoding.EncodeToString([]byte("\x1a\x10"+chars(base62, 16))) + `","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1976038263,"outputPrefixType":"TINK"}]}`
}

// sample is a file with one secret, for the rule of that name.
type sample struct {
	path, text string
}

func samples(t *testing.T) map[string]sample {
	text := func(text string) sample { return sample{text: text} }
	at := func(path, text string) sample { return sample{path: path, text: text} }
	client := "3MVG" + chars(base62, 60)
	return map[string]sample{
		"anthropicapikey":               text("sk-ant-" + "api03-" + chars(base62, 80)),
		"awsaccesskey":                  text("AKIA" + chars(strings.ToUpper(lower), 16) + "\nsecret = " + chars(base62, 40)),
		"azurestorageaccountaccesskey":  text("AZURE_KEY: " + chars(base62, 86) + "=="),
		"azuretoken":                    text(webToken(map[string]any{"iss": "https://sts.windows.net/" + uuid() + "/", "ver": "1.0", "aud": "https://graph.microsoft.com", "scp": "x", "appid": uuid(), "tid": uuid()})),
		"circlecipat":                   text("CCIPAT_" + chars(base62, 22) + "_" + chars(hexa, 40)),
		"circleciproject":               text("CCIPRJ_" + chars(base62, 22) + "_" + chars(hexa, 40)),
		"cratesioapitoken":              text("cio" + chars(base62, 32)),
		"cursorapikey":                  text("key_" + chars(hexa, 64)),
		"denopatorg":                    text("ddo_" + chars(base62, 36)),
		"denopatuser":                   text("ddp_" + chars(base62, 36)),
		"digitaloceanapikey":            text("dop_v1_" + chars(hexa, 64)),
		"discordbottoken":               text("discord: M" + chars(base62, 23) + "." + chars(base62, 6) + "." + chars(base62, 27)),
		"docker-registry-login":         at("root/.docker/config.json", `{"auths":{"r.example.com":{"auth":"`+base64.StdEncoding.EncodeToString([]byte("u:"+chars(base62, 12)))+`"}}}`),
		"dockerhubpat":                  text("dckr_pat_" + chars(base62, 27)),
		"elasticcloudapikey":            text("essu_" + chars(base62, 92)),
		"env-file-password":             at("app/.env", "DB_PASSWORD="+chars(base62, 12)),
		"gcpapikey":                     text("AIzaSyA" + chars(base62, 32)),
		"gcpexpressmode":                text("AQ.Ab8R" + chars(base62, 46)),
		"gcpoauth2accesstoken":          text("ya29." + chars(base62, 100)),
		"gcpoauth2clientcredentials":    text("1234567890123-" + chars(lower, 32) + ".apps.googleusercontent.com GOCSPX-" + chars(base62, 28)),
		"gcpsak":                        text(serviceAccountKey(t)),
		"gcshmackey":                    text("GOOG" + chars(strings.ToUpper(lower), 20) + "\n" + chars(base62, 40)),
		"githubapprefreshtoken":         text(githubToken("ghr_", 70)),
		"githubapps2stoken":             text(githubToken("ghs_", 30)),
		"githubappu2stoken":             text(githubToken("ghu_", 30)),
		"githubclassicpat":              text(githubToken("ghp_", 30)),
		"githubfinegrainedpat":          text(fineGrained()),
		"githuboauthtoken":              text(githubToken("gho_", 30)),
		"gitlabpat":                     text("glpat-" + chars(base62, 20)),
		"grokxaiapikey":                 text("xai-" + chars(base62, 80)),
		"grokxaimanagementkey":          text("xai-token-" + chars(base62, 80)),
		"hashicorpvaultapprole":         text("secret_id: " + uuid()),
		"hashicorpvaulttoken":           text("hvs." + chars(base62, 90)),
		"hcpaccesstoken":                text(webToken(map[string]any{"iss": "https://auth.idp.hashicorp.com/", "aud": []string{"https://api.hashicorp.cloud"}, "gty": "client-credentials"})),
		"hcpclientcredentials":          text("HCP_CLIENT_ID=" + chars(base62, 32) + "\nHCP_CLIENT_SECRET=" + chars(base62, 64)),
		"herokuplatformkey":             text("HRKU-" + chars(base62, 60)),
		"huggingfaceapikey":             text("hf_" + chars(letters, 34)),
		"jwttoken":                      text(webToken(map[string]any{"sub": "user"})),
		"kubeconfig-key":                text("users:\n- user:\n    client-key-data: " + base64.StdEncoding.EncodeToString([]byte(chars(base62, 200)))),
		"kubeconfig-token":              at("home/u/.kube/config", "users:\n- user:\n    token: "+chars(base62, 40)),
		"maven-settings-password":       at("root/.m2/settings.xml", "<server><password>"+chars(base62, 12)+"</password></server>"),
		"mistralapikey":                 text("MISTRAL_API_KEY=" + chars(base62, 32)),
		"mysql-password":                at("root/.my.cnf", "[client]\nuser=x\npassword = "+chars(base62, 12)),
		"netrc-password":                at("root/.netrc", "machine x login y password "+chars(base62, 12)),
		"npm-registry-login":            at("root/.npmrc", "//registry.example.com/:_authToken="+chars(base62, 30)),
		"npmjsaccesstoken":              text("npm_" + chars(base62, 36)),
		"onepasswordrecoverycode":       text("1PRK" + strings.Repeat("-"+chars(strings.ToUpper(lower), 4), 13)),
		"onepasswordsecretkey":          text("A3-" + chars(strings.ToUpper(lower), 6) + "-" + chars(strings.ToUpper(lower), 11) + strings.Repeat("-"+chars(strings.ToUpper(lower), 5), 3)),
		"onepasswordservicetoken":       text("ops_eyJ" + chars(base62, 260)),
		"openai":                        text("sk-proj-" + chars(base62, 20) + "T3BlbkFJ" + chars(base62, 20)),
		"openrouter":                    text("sk-or-v1-" + chars(hexa, 64)),
		"packagistconductorupdatetoken": text("packagist_cut_" + chars(hexa, 68)),
		"packagistorgreadtoken":         text("packagist_ort_" + chars(hexa, 68)),
		"packagistorgupdatetoken":       text("packagist_out_" + chars(hexa, 68)),
		"packagistsecret":               text("packagist_ack_" + chars(hexa, 28) + "\npackagist_acs_" + chars(hexa, 64)),
		"packagistuserupdatetoken":      text("user: someone\npackagist_uut_" + chars(hexa, 68)),
		"password-hash":                 at("etc/shadow", "root:$6$salt$"+chars(base62, 40)+":19000:0:99999:7:::\nbin:*:1::::::"),
		"paystacksecretkey":             text("sk_test_" + chars(hexa, 40)),
		"perplexityapikey":              text("pplx-" + chars(base62, 48)),
		"pgpass":                        at("home/u/.pgpass", "db:5432:shop:admin:"+chars(base62, 12)),
		"postmanapikey":                 text("PMAK-" + chars(hexa, 24) + "-" + chars(hexa, 34)),
		"postmancollectiontoken":        text("PMAT-" + chars(base62, 26)),
		"privatekey":                    text(pemKey(t)),
		"pypi-registry-login":           at("root/.pypirc", "[pypi]\nusername = u\npassword = "+chars(base62, 12)),
		"pypiapitoken":                  text("pypi-" + chars(base62, 90)),
		"pyxkeyv1":                      text("sk-pyx-" + chars(base62, 64)),
		"pyxkeyv2":                      text("sk-pyx-2" + chars(letters, 45)),
		"recaptchakey":                  text("recaptcha_secret_key: 6" + chars(base62, 39)),
		"rubygemsapikey":                text("rubygems_" + chars(hexa, 48)),
		"salesforceoauth2access":        text("00D" + chars(base62, 12) + "!" + chars(base62, 60)),
		"salesforceoauth2client":        text(client + "\nclient_secret: " + chars(base62, 64) + "\nshop.my.salesforce.com"),
		"salesforceoauth2jwt":           text(client + "\nuser@example.com\n" + pemKey(t)),
		"salesforceoauth2refresh":       text(client + "\nclient_secret: " + chars(base62, 64) + "\nrefresh_token: " + chars(base62, 80)),
		"sendgrid":                      text("SG." + chars(base62, 22) + "." + chars(base62, 43)),
		"slack-token":                   text("xoxb-" + chars(digits, 12) + "-" + chars(base62, 24)),
		"slackappconfigaccesstoken":     text("xoxe.xoxp-1-" + chars(base62, 166)),
		"slackappconfigrefreshtoken":    text("xoxe-1-" + chars(base62, 147)),
		"slackappleveltoken":            text("xapp-1-" + chars(base62, 11) + "-" + chars(digits, 13) + "-" + chars(hexa, 64)),
		"squareoauthapplicationsecret":  text("sq0csp-" + chars(base62, 43)),
		"squarepersonalaccesstoken":     text("EAAA" + chars(base62, 60)),
		"striperestrictedkey":           text("rk_live_" + chars(base62, 30)),
		"stripesecretkey":               text("sk_live_" + chars(base62, 30)),
		"stripewebhooksecret":           text("whsec_" + chars(base62, 32)),
		"supabasepat":                   text("sbp_" + chars(hexa, 40)),
		"supabaseprojectsecretkey":      text("https://" + chars(lower, 20) + ".supabase.co sb_secret_" + chars(base62, 32)),
		"supabaseservicerolejwt":        text(webToken(map[string]any{"iss": "supabase", "role": "service_role"})),
		"telegrambotapitoken":           text("telegram = 123456789:" + chars(base62, 35)),
		"tinkkeyset":                    text(tink()),
		"vapidkey":                      text(vapidKeys(t)),
		"wrapped-private-key":           text("tls:\n  key: |\n    " + strings.ReplaceAll(pemKey(t), "\n", "\n    ")),
	}
}

func TestEveryRuleFindsItsSecret(t *testing.T) {
	all := samples(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			s, known := all[r.name]
			require.True(t, known, "no sample")
			path := s.path
			if path == "" {
				path = "opt/file.txt"
			}
			found := textFindings(rootfs.File{Path: path}, []byte("first line\n"+s.text+"\nlast line\n"))
			i := slices.IndexFunc(found, func(f finding) bool { return f.rule == r.name })
			require.GreaterOrEqual(t, i, 0, "found only %v in\n%s", found, s.text)
			require.Equal(t, r.kind, found[i].kind)
			require.Equal(t, r.level, found[i].level)
			report := found[i].report()
			require.Len(t, report.SHA256, 64)
			require.NotContains(t, fmt.Sprint(report), found[i].value)
		})
	}
}

func TestEveryDetectorOfTheLibraryIsUsedOrLeftOutForAReason(t *testing.T) {
	const library = "github.com/google/osv-scalibr/veles/secrets/"
	packagesOf := func(arguments ...string) []string {
		output, err := exec.Command("go", append([]string{"list", "-e"}, arguments...)...).Output()
		require.NoError(t, err)
		var found []string
		for name := range strings.FieldsSeq(string(output)) {
			rest, ours := strings.CutPrefix(name, library)
			if first, inner, _ := strings.Cut(rest, "/"); ours && first != "common" && !strings.HasPrefix(inner, "mock") && inner != "checksum" && inner != "validate" {
				found = append(found, first)
			}
		}
		slices.Sort(found)
		return slices.Compact(found)
	}
	leftOut := []string{"http", "urlcreds", "gitbasicauth", "cloudflareapitoken", "bitwardenoauth2access"} // see libraryRules
	require.ElementsMatch(t, packagesOf(library+"..."), slices.Concat(packagesOf("-f", `{{join .Imports "\n"}}`, "."), leftOut))
}

func TestWordsAreInLowerCase(t *testing.T) {
	for _, r := range rules {
		for _, word := range r.words {
			require.Equal(t, strings.ToLower(word), word, r.name)
		}
	}
}

func TestTypesAreThoseThatPoliciesKnow(t *testing.T) {
	types := []string{
		"private-key", "certificate-store", "cloud-access-key", "vcs-token", "package-registry-token",
		"cluster-credential", "database-credential", "saas-token", "password", "risky-build-history",
	}
	for _, r := range rules {
		require.Contains(t, types, r.kind, r.name)
	}
}

func TestASecretIsToldByAQuarterOfItAtMost(t *testing.T) {
	for secret, want := range map[string]string{
		"":                    "********",
		"abc":                 "********",
		"toor":                "t********",
		"hunter2":             "h********",
		chars(base62, 16):     chars(base62, 4) + "********",
		chars(base62, 400):    chars(base62, 4) + "********",
		"密码密码密码密码":            "密码********",
		"\xff\xfe\x00 binary": "********",
	} {
		require.Equal(t, want, redact(secret))
	}
}

func TestAServiceAccountTokenIsAClusterCredential(t *testing.T) {
	found := textFindings(rootfs.File{Path: "run/secrets/token"}, []byte(webToken(map[string]any{"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:default:default"})))
	require.Len(t, found, 1)
	require.Equal(t, clusterCredential, found[0].kind)
	require.Equal(t, verdict.Critical, found[0].level)
}

func TestPasswordsInURLs(t *testing.T) {
	secret := chars(base62, 12)
	for text, want := range map[string]string{
		"postgres://app:" + secret + "@db:5432/shop":           databaseLogin,
		"mongodb+srv://u:" + secret + "@cluster.example.com":   databaseLogin,
		"redis://:" + secret + "@cache:6379/0":                 databaseLogin,
		"https://user:" + secret + "@github.com/team/repo.git": vcsToken,
		"ftp://user:" + secret + "@files.example.com/":         password,
		"https://user:${PASSWORD}@example.com":                 "",
		"https://user:<password>@example.com":                  "",
		"https://user:password@example.com":                    "",
		"https://user@example.com:443":                         "",
		"ssh://git@github.com/a/b":                             "",
		"http://127.0.0.1:8080/@scope/package":                 "",
		"see http://a.example/ and mail b:c@example.com":       "",
	} {
		found := textFindings(rootfs.File{Path: "a.conf"}, []byte(text))
		if want == "" {
			require.Empty(t, found, text)
			continue
		}
		require.Equal(t, []finding{{"url-login", want, verdict.High, secret}}, found, text)
	}
}

func TestAPrivateKeyIsFoundHoweverItIsWritten(t *testing.T) {
	key := strings.TrimSpace(pemKey(t))
	for name, text := range map[string]string{
		"JSON":              `{"key": "` + strings.ReplaceAll(key, "\n", `\n`) + `"}`,
		"JSON from Windows": `{"key": "` + strings.ReplaceAll(key, "\n", `\r\n`) + `"}`,
		"one line":          "KEY='" + strings.ReplaceAll(key, "\n", " ") + "'",
		"YAML with tabs":    "key: |\r\n\t" + strings.ReplaceAll(key, "\n", "\r\n\t"),
	} {
		found := textFindings(rootfs.File{Path: "opt/file.txt"}, []byte(text))
		require.Len(t, found, 1, name)
		require.Equal(t, "wrapped-private-key", found[0].rule, name)
	}
	found := textFindings(rootfs.File{Path: "opt/file.txt"}, []byte(key))
	require.Len(t, found, 1, "one that a program reads as it is")
	require.Equal(t, "privatekey", found[0].rule)
}

func TestOrdinaryFilesHaveNoSecrets(t *testing.T) {
	for path, text := range map[string]string{
		"etc/shadow":            "root:*:19000:0:99999:7:::\ndaemon:!:1::::::\nu::1::::::\n",
		"app/.env":              "PORT=80\nTOKEN_TTL=300\nSECRET_FILE=/run/secrets/x\nPASSWORD=${PASSWORD}\nTOKEN=\n",
		"app/.env.example":      "DB_PASSWORD=changeme\n",
		"root/.npmrc":           "//registry.example.com/:_authToken=${NPM_TOKEN}\n",
		"root/.m2/settings.xml": "<password>${env.PASSWORD}</password>",
		"usr/lib/x.py":          "def password(self, token=None):\n    return self.secret_key or token\nb.SSL_MODE_RELEASE_BUFFERS_AND_MORE\nname has user str\n",
		"usr/share/doc/x":       "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n-----BEGIN RSA PRIVATE KEY-----\n...\n",
		"etc/my.cnf":            "[client]\nport = 3306\n",
	} {
		require.Empty(t, textFindings(rootfs.File{Path: path}, []byte(text)), path)
	}
}

func ecKey(t *testing.T) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return der
}

func BenchmarkOrdinaryText(b *testing.B) {
	text := []byte(strings.Repeat("The quick brown fox jumps over the lazy dog: http://example.com/a?b=c (x, y) { return 42; }\n", 10_000))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		textFindings(rootfs.File{Path: "usr/share/doc/text"}, text)
	}
}
