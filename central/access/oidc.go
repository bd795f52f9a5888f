package access

// OIDCLoginPath is where a browser begins to log in by OIDC.
const OIDCLoginPath = "/auth/oidc/login"
