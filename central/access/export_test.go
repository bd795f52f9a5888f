package access

import (
	"context"
	"sync"
)

// RealEffort is what a guess costs outside of tests; here it costs little.
var RealEffort = *effort

func init() { effort.Memory, effort.Iterations = 64, 1 }

// GoodHash is of the password that the tests' users have.
var GoodHash = sync.OnceValue(func() string {
	hash, err := hashPassword(context.Background(), "correct horse battery")
	if err != nil {
		panic(err)
	}
	return hash
})

// Rules are the table's procedures.
func Rules() (procedures []string) {
	for procedure := range rules {
		procedures = append(procedures, procedure)
	}
	return procedures
}

// LocalPath is what is tested of OIDC without a provider.
var LocalPath = localPath
