package secrets

import (
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/google/osv-scalibr/veles"
	"github.com/google/osv-scalibr/veles/secrets/anthropicapikey"
	"github.com/google/osv-scalibr/veles/secrets/awsaccesskey"
	"github.com/google/osv-scalibr/veles/secrets/azurestorageaccountaccesskey"
	"github.com/google/osv-scalibr/veles/secrets/azuretoken"
	"github.com/google/osv-scalibr/veles/secrets/circleci"
	"github.com/google/osv-scalibr/veles/secrets/cratesioapitoken"
	"github.com/google/osv-scalibr/veles/secrets/cursorapikey"
	"github.com/google/osv-scalibr/veles/secrets/denopat"
	"github.com/google/osv-scalibr/veles/secrets/digitaloceanapikey"
	"github.com/google/osv-scalibr/veles/secrets/discordbottoken"
	"github.com/google/osv-scalibr/veles/secrets/dockerhubpat"
	"github.com/google/osv-scalibr/veles/secrets/elasticcloudapikey"
	"github.com/google/osv-scalibr/veles/secrets/gcpapikey"
	"github.com/google/osv-scalibr/veles/secrets/gcpexpressmode"
	"github.com/google/osv-scalibr/veles/secrets/gcpoauth2access"
	"github.com/google/osv-scalibr/veles/secrets/gcpoauth2client"
	"github.com/google/osv-scalibr/veles/secrets/gcpsak"
	"github.com/google/osv-scalibr/veles/secrets/gcshmackey"
	"github.com/google/osv-scalibr/veles/secrets/github"
	"github.com/google/osv-scalibr/veles/secrets/gitlabpat"
	"github.com/google/osv-scalibr/veles/secrets/grokxaiapikey"
	"github.com/google/osv-scalibr/veles/secrets/hashicorpvault"
	"github.com/google/osv-scalibr/veles/secrets/hcp"
	"github.com/google/osv-scalibr/veles/secrets/herokuplatformkey"
	"github.com/google/osv-scalibr/veles/secrets/huggingfaceapikey"
	"github.com/google/osv-scalibr/veles/secrets/jwt"
	"github.com/google/osv-scalibr/veles/secrets/mistralapikey"
	"github.com/google/osv-scalibr/veles/secrets/npmjsaccesstoken"
	"github.com/google/osv-scalibr/veles/secrets/onepasswordkeys"
	"github.com/google/osv-scalibr/veles/secrets/openai"
	"github.com/google/osv-scalibr/veles/secrets/openrouter"
	"github.com/google/osv-scalibr/veles/secrets/packagist"
	"github.com/google/osv-scalibr/veles/secrets/paystacksecretkey"
	"github.com/google/osv-scalibr/veles/secrets/perplexityapikey"
	"github.com/google/osv-scalibr/veles/secrets/postmanapikey"
	"github.com/google/osv-scalibr/veles/secrets/privatekey"
	"github.com/google/osv-scalibr/veles/secrets/pypiapitoken"
	"github.com/google/osv-scalibr/veles/secrets/pyxkeyv1"
	"github.com/google/osv-scalibr/veles/secrets/pyxkeyv2"
	"github.com/google/osv-scalibr/veles/secrets/recaptchakey"
	"github.com/google/osv-scalibr/veles/secrets/rubygemsapikey"
	"github.com/google/osv-scalibr/veles/secrets/salesforceoauth2access"
	"github.com/google/osv-scalibr/veles/secrets/salesforceoauth2client"
	"github.com/google/osv-scalibr/veles/secrets/salesforceoauth2jwt"
	"github.com/google/osv-scalibr/veles/secrets/salesforceoauth2refresh"
	"github.com/google/osv-scalibr/veles/secrets/sendgrid"
	"github.com/google/osv-scalibr/veles/secrets/slacktoken"
	"github.com/google/osv-scalibr/veles/secrets/squareapikey"
	"github.com/google/osv-scalibr/veles/secrets/stripeapikeys"
	"github.com/google/osv-scalibr/veles/secrets/supabase"
	"github.com/google/osv-scalibr/veles/secrets/telegrambotapitoken"
	"github.com/google/osv-scalibr/veles/secrets/tinkkeyset"
	"github.com/google/osv-scalibr/veles/secrets/vapid"

	"portcullis/scanner-client/verdict"
)

// libraryRules say what the library's detectors find. Some detectors are left out: CSRF tokens are worth
// nothing after a session; recorded HTTP traffic (cookie, basicauth, bearer) is what tests and manuals are
// full of; urlcreds takes user@host for a credential, url-login is ours instead; gitbasicauth is part of
// that; cloudflareapitoken and bitwardenoauth2access take any long word near the vendor's name.
var libraryRules = []rule{
	in("anthropicapikey", anthropicapikey.NewDetector(), saasToken, "sk-ant-"),
	near("awsaccesskey", awsaccesskey.NewDetector(), cloudAccessKey, "akia", "asia"),
	near("azurestorageaccountaccesskey", azurestorageaccountaccesskey.NewDetector(), cloudAccessKey, "azure", "az storage"),
	in("azuretoken", azuretoken.NewDetector(), cloudAccessKey, "eyj"),
	in("circlecipat", circleci.NewPersonalAccessTokenDetector(), saasToken, "ccipat_"),
	in("circleciproject", circleci.NewProjectTokenDetector(), saasToken, "cciprj_"),
	in("cratesioapitoken", cratesioapitoken.NewDetector(), registryToken, "cio"),
	in("cursorapikey", cursorapikey.NewDetector(), saasToken, "key_"),
	in("denopatorg", denopat.NewOrgTokenDetector(), saasToken, "ddo_"),
	in("denopatuser", denopat.NewUserTokenDetector(), saasToken, "ddp_"),
	in("digitaloceanapikey", digitaloceanapikey.NewDetector(), cloudAccessKey, "dop_v1_"),
	near("discordbottoken", discordbottoken.NewDetector(), saasToken, "discord"),
	in("dockerhubpat", dockerhubpat.NewDetector(), registryToken, "dckr_pat_"),
	in("elasticcloudapikey", elasticcloudapikey.NewDetector(), saasToken, "essu_"),
	in("gcpapikey", gcpapikey.NewDetector(), cloudAccessKey, "aizasy"),
	in("gcpexpressmode", gcpexpressmode.NewDetector(), cloudAccessKey, "aq.ab8r"),
	in("gcpoauth2accesstoken", gcpoauth2access.NewDetector(), cloudAccessKey, "ya29."),
	in("gcpoauth2clientcredentials", gcpoauth2client.NewDetector(), cloudAccessKey, "gocspx-"),
	near("gcpsak", gcpsak.NewDetector(), cloudAccessKey, "auth_provider_x509_cert_url", "ewogicj0exbliiogin"),
	near("gcshmackey", gcshmackey.NewDetector(), cloudAccessKey, "goog"),
	in("githubapprefreshtoken", github.NewAppRefreshTokenDetector(), vcsToken, "ghr_", "z2hyx"),
	in("githubapps2stoken", github.NewAppS2STokenDetector(), vcsToken, "ghs_", "z2hzx"),
	in("githubappu2stoken", github.NewAppU2SDetector(), vcsToken, "ghu_", "z2h1x"),
	in("githubclassicpat", github.NewClassicPATDetector(), vcsToken, "ghp_", "z2hwx"),
	in("githubfinegrainedpat", github.NewFineGrainedPATDetector(), vcsToken, "github_pat_", "z2l0ahvix3bhdf"),
	in("githuboauthtoken", github.NewOAuthTokenDetector(), vcsToken, "gho_", "z2hvx"),
	in("gitlabpat", gitlabpat.NewDetector(), vcsToken, "glpat-"),
	in("grokxaiapikey", grokxaiapikey.NewAPIKeyDetector(), saasToken, "xai-"),
	in("grokxaimanagementkey", grokxaiapikey.NewManagementKeyDetector(), saasToken, "xai-token-"),
	near("hashicorpvaultapprole", hashicorpvault.NewAppRoleDetector(), saasToken, "role_id", "role-id", "roleid", "secret_id", "secret-id", "secretid"),
	in("hashicorpvaulttoken", hashicorpvault.NewTokenDetector(), saasToken, "hvs.", "hvb."),
	in("hcpaccesstoken", hcp.NewAccessTokenDetector(), saasToken, "eyj"),
	near("hcpclientcredentials", hcp.NewPairDetector(), saasToken, "hcp_client_"),
	in("herokuplatformkey", herokuplatformkey.NewSecretKeyDetector(), saasToken, "hrku-"),
	in("huggingfaceapikey", huggingfaceapikey.NewDetector(), saasToken, "hf_"),
	in("jwttoken", jwt.NewDetector(), saasToken, "eyj").rated(verdict.Medium),
	near("mistralapikey", mistralapikey.NewDetector(), saasToken, "mistral"),
	in("npmjsaccesstoken", npmjsaccesstoken.NewDetector(), registryToken, "npm_"),
	in("onepasswordrecoverycode", onepasswordkeys.NewRecoveryTokenDetector(), saasToken, "1prk"),
	in("onepasswordsecretkey", onepasswordkeys.NewSecretKeyDetector(), saasToken, "a3-"),
	in("onepasswordservicetoken", onepasswordkeys.NewServiceTokenDetector(), saasToken, "ops_eyj"),
	in("openai", openai.NewDetector(), saasToken, "sk-"),
	in("openrouter", openrouter.NewDetector(), saasToken, "sk-or-v"),
	in("packagistconductorupdatetoken", packagist.NewConductorUpdateTokenDetector(), registryToken, "packagist_cut_"),
	in("packagistorgreadtoken", packagist.NewOrgReadTokenDetector(), registryToken, "packagist_ort_"),
	in("packagistorgupdatetoken", packagist.NewOrgUpdateTokenDetector(), registryToken, "packagist_out_"),
	in("packagistsecret", packagist.NewAPISecretDetector(), registryToken, "packagist_acs_"),
	in("packagistuserupdatetoken", packagist.NewUserUpdateTokenDetector(), registryToken, "packagist_uut_"),
	in("paystacksecretkey", paystacksecretkey.NewSecretKeyDetector(), saasToken, "sk_"),
	in("perplexityapikey", perplexityapikey.NewDetector(), saasToken, "pplx-"),
	in("postmanapikey", postmanapikey.NewAPIKeyDetector(), saasToken, "pmak-"),
	in("postmancollectiontoken", postmanapikey.NewCollectionTokenDetector(), saasToken, "pmat-"),
	in("privatekey", privatekey.NewDetector(), privateKey, "private key-----").only(keyBody.MatchString),
	in("pypiapitoken", pypiapitoken.NewDetector(), registryToken, "pypi-"),
	in("pyxkeyv1", pyxkeyv1.NewDetector(), registryToken, "sk-pyx-"),
	in("pyxkeyv2", pyxkeyv2.NewDetector(), registryToken, "sk-pyx-2"),
	near("recaptchakey", recaptchakey.NewDetector(), saasToken, "captcha"),
	in("rubygemsapikey", rubygemsapikey.NewDetector(), registryToken, "rubygems_"),
	in("salesforceoauth2access", salesforceoauth2access.NewDetector(), saasToken, "00d"),
	near("salesforceoauth2client", salesforceoauth2client.NewDetector(), saasToken, "3mvg"),
	near("salesforceoauth2jwt", salesforceoauth2jwt.NewDetector(), saasToken, "3mvg"),
	near("salesforceoauth2refresh", salesforceoauth2refresh.NewDetector(), saasToken, "3mvg"),
	in("sendgrid", sendgrid.NewDetector(), saasToken, "sg."),
	in("slackappconfigaccesstoken", slacktoken.NewAppConfigAccessTokenDetector(), saasToken, "xoxe.xoxp-"),
	in("slackappconfigrefreshtoken", slacktoken.NewAppConfigRefreshTokenDetector(), saasToken, "xoxe-"),
	in("slackappleveltoken", slacktoken.NewAppLevelTokenDetector(), saasToken, "xapp-"),
	in("squareoauthapplicationsecret", squareapikey.NewOAuthApplicationSecretDetector(), saasToken, "sq0csp-"),
	in("striperestrictedkey", stripeapikeys.NewRestrictedKeyDetector(), saasToken, "rk_live_"),
	in("stripesecretkey", stripeapikeys.NewSecretKeyDetector(), saasToken, "sk_live_"),
	in("stripewebhooksecret", stripeapikeys.NewWebhookSecretDetector(), saasToken, "whsec_"),
	in("supabasepat", supabase.NewPATDetector(), saasToken, "sbp_"),
	in("supabaseprojectsecretkey", supabase.NewProjectSecretKeyDetector(), saasToken, "sb_secret_"),
	in("supabaseservicerolejwt", supabase.NewServiceRoleJWTDetector(), saasToken, "eyj"),
	near("telegrambotapitoken", telegrambotapitoken.NewDetector(), saasToken, "telegram", "tgram"),
	near("tinkkeyset", tinkkeyset.NewDetector(), privateKey, "primarykeyid", "dhlwzs5nb29nbgvhcglz", "r5cguuz29vz2xlyxbpcy", "0exbllmdvb2dszwfwaxmu"),
	near("vapidkey", vapid.NewDetector(), privateKey, "vapid"),
}

// in makes a rule of a detector whose secrets have one of the words in them. A value without one is
// dropped: some detectors take any name in the neighbourhood of a token for the token.
func in(name string, detector veles.Detector, kind string, words ...string) rule {
	return rule{name: name, kind: kind, level: levelOf(kind), words: words, find: finder(detector, words)}
}

// near makes a rule of a detector that goes by words near the secret.
func near(name string, detector veles.Detector, kind string, words ...string) rule {
	return rule{name: name, kind: kind, level: levelOf(kind), words: words, find: finder(detector, nil)}
}

func (r rule) rated(level verdict.Severity) rule {
	r.level = level
	return r
}

// keyBody is a line of a key. Programs that read keys have the lines around it without one in between.
var keyBody = regexp.MustCompile(`[A-Za-z0-9+/]{40}`)

// only drops the values that are not wanted.
func (r rule) only(wanted func(string) bool) rule {
	find := r.find
	r.find = func(text []byte) []string {
		return slices.DeleteFunc(find(text), func(value string) bool { return !wanted(value) })
	}
	return r
}

// finder makes a rule's find of a detector; a value must have one of the words, if there are any.
func finder(detector veles.Detector, words []string) func([]byte) []string {
	return func(text []byte) []string {
		found, _ := detector.Detect(text)
		var values []string
		for _, secret := range found {
			if value := valueOf(secret); value != "" && hasWord(value, words) {
				values = append(values, value)
			}
		}
		return values
	}
}

func hasWord(value string, words []string) bool {
	lower := strings.ToLower(value)
	return len(words) == 0 || slices.ContainsFunc(words, func(word string) bool { return strings.Contains(lower, word) })
}

// valueFields are the names of the fields that hold the secret itself, in the library's many structs.
var valueFields = []string{
	"Secret", "ClientSecret", "SecretID", "PrivateKey", "PrivateB64", "Password", "Refresh",
	"Token", "Key", "Pat", "Block", "Der", "Value", "Content", "Signature",
}

func valueOf(secret veles.Secret) string {
	v := reflect.Indirect(reflect.ValueOf(secret))
	for _, name := range valueFields {
		field := v.FieldByName(name)
		switch {
		case field.IsValid() && field.Kind() == reflect.String && field.Len() > 0:
			return field.String()
		case field.IsValid() && field.Kind() == reflect.Slice && field.Len() > 0:
			return string(field.Bytes())
		}
	}
	return ""
}
