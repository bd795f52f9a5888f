package rpc

import (
	"encoding/base64"
	"encoding/json"
)

// PageSize is how many a caller gets who asks for size: byDefault for 0.
func PageSize(size int32, byDefault, most int) (int, error) {
	switch {
	case size == 0:
		return byDefault, nil
	case size < 0 || int(size) > most:
		return 0, Invalid(Problem("page_size", "%d is out of range; set 1 to %d, or 0 for %d", size, most, byDefault))
	}
	return int(size), nil
}

// PageToken says where the next page begins: the sort key of the last item.
func PageToken(last any) (string, error) {
	text, err := json.Marshal(last)
	return base64.RawURLEncoding.EncodeToString(text), err
}

// maxPageToken is far above what PageToken makes.
const maxPageToken = 4096

// ReadPageToken stores in last what PageToken was given, and reports false for the first page.
func ReadPageToken(token string, last any) (bool, error) {
	if token == "" {
		return false, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(token) > maxPageToken || string(text) == "null" || json.Unmarshal(text, last) != nil {
		return false, Invalid(Problem("page_token", "is not one that this list returned; leave it empty to begin anew"))
	}
	return true, nil
}
