package nodes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
)

func TestOfLargeBundlesFewAreKept(t *testing.T) {
	rest := strings.Repeat("a policy\n", 12<<20/9)
	var newest *outgoing
	for i := range int64(5) {
		var err error
		newest, err = newOutgoing(&portcullisv1.Bundle{Number: i, Documents: fmt.Sprintln("bundle", i) + rest}, newest, time.Second)
		require.NoError(t, err)
	}
	require.Len(t, newest.edits, 2, "of 12 MiB each in 32")
	for held := range newest.edits {
		require.Contains(t, []int64{2, 3}, held.number, "the last before it")
	}
}
