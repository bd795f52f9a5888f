package events

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneUserDoesNotTakeThePlacesOfAllWhoFollow(t *testing.T) {
	f := followers{ofUser: map[string]int{}}
	for range maxOfUser {
		require.NoError(t, f.come("greedy"))
	}
	require.ErrorContains(t, f.come("greedy"), "you follow events 20 times already")
	for i := range maxFollowers - maxOfUser {
		require.NoError(t, f.come(strconv.Itoa(i)))
	}
	require.ErrorContains(t, f.come("late"), "too many")
	f.leave("greedy")
	require.NoError(t, f.come("late"))
	f.leave("late")
	require.NotContains(t, f.ofUser, "late")
}
