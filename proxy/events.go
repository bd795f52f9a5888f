package proxy

import "strings"

// Endless says whether calls of method never end by themselves: the kubelet follows the runtime's
// events for as long as both live.
func Endless(method string) bool {
	return strings.TrimPrefix(method, "/") == "runtime.v1.RuntimeService/GetContainerEvents"
}
