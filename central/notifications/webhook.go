package notifications

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// maxAnswer is how much of an answer is read, so that the connection ends in order.
const maxAnswer = 16 << 10

// sendWebhook posts the notification. Redirects are not followed and the answer's body is not looked at:
// neither is to make central tell what only it can reach.
func (s *Service) sendWebhook(ctx context.Context, address, secret string, n notification) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	timestamp := strconv.FormatInt(s.options.Now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "portcullis-central")
	request.Header.Set("X-Portcullis-Delivery", n.ID)
	request.Header.Set("X-Portcullis-Timestamp", timestamp)
	if secret != "" {
		request.Header.Set("X-Portcullis-Signature", "sha256="+sign(secret, timestamp, body))
	}
	transport := &http.Transport{DialContext: s.dialer().DialContext, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // the status says it all
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the target answered %d; 200 to 299 is expected", response.StatusCode)
	}
	return nil
}

// sign is the HMAC over the timestamp, a full stop and the body, so that what is recorded cannot be sent
// again later as new.
func sign(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
