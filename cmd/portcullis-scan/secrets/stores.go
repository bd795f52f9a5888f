package secrets

import (
	"bytes"
	"encoding/binary"
	"path"
	"slices"
	"strings"

	"github.com/google/osv-scalibr/veles/secrets/privatekey"

	"portcullis/cmd/portcullis-scan/rootfs"
)

// maxKey is the size up to which a binary file may be a bare key, in bytes.
const maxKey = 16 << 10

// derKey finds a private key in its binary form.
var derKey = finder(privatekey.NewDetector(), nil)

// storeFindings looks at a binary file that may hold keys. head is its beginning.
func storeFindings(file rootfs.File, head []byte) []finding {
	sequence := len(head) > 0 && head[0] == 0x30 // how all ASN.1 files here begin
	switch {
	case javaStoreWithKey(head), sequence && isPKCS12(file):
		// The store as a whole is the secret: what is in it is encrypted.
		return []finding{{rule: "key-store", kind: certificateStore, level: levelOf(certificateStore), value: string(head[:min(len(head), maxKey)])}}
	case sequence && file.Size <= maxKey:
		var found []finding
		for _, key := range derKey(head) {
			found = append(found, finding{rule: "privatekey", kind: privateKey, level: levelOf(privateKey), value: key})
		}
		return found
	}
	return nil
}

// javaStoreWithKey says whether a file is a Java key store (JKS or JCEKS) whose first entry is a private
// key. Every Java image has one with the public certificates of the world's authorities, which is no secret.
func javaStoreWithKey(head []byte) bool {
	const firstEntry, privateEntry = 12, 1
	magic := bytes.HasPrefix(head, []byte{0xfe, 0xed, 0xfe, 0xed}) || bytes.HasPrefix(head, []byte{0xce, 0xce, 0xce, 0xce})
	return magic && len(head) >= firstEntry+4 && binary.BigEndian.Uint32(head[firstEntry:]) == privateEntry
}

func isPKCS12(file rootfs.File) bool {
	return slices.ContainsFunc(append(file.Links, file.Path), func(name string) bool {
		return slices.Contains([]string{".p12", ".pfx"}, strings.ToLower(path.Ext(name)))
	})
}
