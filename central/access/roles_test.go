package access_test

import (
	"bufio"
	"crypto/x509"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/store"
)

// methods are all RPCs of all services, as SERVICE/METHOD.
func methods() (all []string) {
	protoregistry.GlobalFiles.RangeFilesByPackage("portcullis.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				all = append(all, string(service.Name()+"/"+service.Methods().Get(j).Name()))
			}
		}
		return true
	})
	slices.Sort(all)
	return all
}

// wanted reads testdata/roles.txt: who may call each method.
func wanted(t *testing.T) map[string][]string {
	t.Helper()
	file, err := os.Open("testdata/roles.txt")
	require.NoError(t, err)
	defer file.Close()
	may := map[string][]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		may[strings.TrimSuffix(fields[0], ":")] = fields[1:]
	}
	return may
}

func TestEveryMethodLetsInWhomTheTableNamesAndNobodyElse(t *testing.T) {
	f := newFixture(t)
	f.nodes["n1"], f.nodes["old"] = true, true
	certificates := map[string]*x509.Certificate{"expired-node": f.certificate("old")}
	f.clock.Add(31 * 24 * time.Hour)
	secrets := map[string]string{"stranger": "", "forger": "pcs_" + strings.Repeat("A", 52)}
	for name, role := range map[string]access.Role{"viewer": access.Viewer, "editor": access.Editor, "admin": access.Admin} {
		c := f.as(name, role)
		secrets[name] = c.cookie("__Host-portcullis-session")
		token, err := c.session().CreateToken(ctx, &portcullisv1.CreateTokenRequest{Description: "d", Role: portcullisv1.Role(role)})
		require.NoError(t, err)
		secrets[name+"-token"] = token.GetSecret()
	}
	secrets["newcomer"] = f.as("newcomer", access.Admin).cookie("__Host-portcullis-session")
	require.NoError(t, f.store.Tx(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, "newcomer")
		require.NoError(t, err)
		u.MustChangePassword = true
		return tx.UpdateUser(ctx, u)
	}))
	certificates["node"], certificates["removed-node"] = f.certificate("n1"), f.certificate("n2")

	want := wanted(t)
	for _, method := range methods() {
		var let []string
		path := "/portcullis.v1." + method
		for name, secret := range secrets {
			if f.status(path, secret, nil) == http.StatusNoContent {
				let = append(let, name)
			}
		}
		for name, certificate := range certificates {
			if f.status(path, "", certificate) == http.StatusNoContent {
				let = append(let, name)
			}
			// A node that found a person's secret is still a node.
			require.Equal(t, f.status(path, "", certificate), f.status(path, secrets["admin"], certificate), method)
		}
		require.Contains(t, want, method, "testdata/roles.txt does not say who may call it")
		require.ElementsMatch(t, want[method], let, method)
		delete(want, method)
	}
	require.Empty(t, want, "testdata/roles.txt names methods that there are not")
}

func TestTheTableHoldsEveryMethodAndNoOther(t *testing.T) {
	var want []string
	for _, method := range methods() {
		want = append(want, "/portcullis.v1."+method)
	}
	require.ElementsMatch(t, want, access.Rules())
}

func TestAMethodThatTheTableDoesNotHoldIsRefusedEvenToAnAdmin(t *testing.T) {
	f := newFixture(t)
	admin := f.as("admin", access.Admin).cookie("__Host-portcullis-session")
	for _, path := range []string{
		"/portcullis.v1.PolicyService/NewMethod", "/portcullis.v1.PolicyService/", "/portcullis.v1.PolicyService/ListPolicies/",
		"/portcullis.v1.PolicyService//ListPolicies", "/portcullis.v1.policyservice/listpolicies", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	} {
		require.Equal(t, http.StatusNotFound, f.status(path, admin, nil), path)
	}
}
