package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// limiter slows down who guesses passwords: from one address, or of one name from many. A stranger who
// keeps guessing a name would keep its owner out, too; therefore a browser that logged in with the name
// before has an allowance of its own, which it proves to deserve by a cookie. Each replica counts for itself:
// with n of them a guesser has n allowances, which are as much too few.
type limiter struct {
	key []byte // of the devices' cookies
	now func() time.Time

	mu      sync.Mutex // so that two who come first do not get an allowance each
	buckets *lru.Cache[string, *rate.Limiter]
}

// Allowances: so many at once, and one more in each interval.
const (
	addressBurst, addressEvery = 20, 6 * time.Second
	nameBurst, nameEvery       = 10, 30 * time.Second
	maxBuckets                 = 1 << 16
)

func newLimiter(key []byte, now func() time.Time) *limiter {
	buckets, _ := lru.New[string, *rate.Limiter](maxBuckets) // fails for sizes below 1
	return &limiter{key: key, now: now, buckets: buckets}
}

// attempt counts one guess at the name's password, and returns how long to wait before it can be made,
// which is 0 when it can be made now.
func (l *limiter) attempt(name, address, device string) time.Duration {
	if l.isDevice(name, device) {
		return l.take("device "+device, nameBurst, nameEvery)
	}
	if wait := l.take("address "+network(address), addressBurst, addressEvery); wait > 0 {
		return wait
	}
	return l.take("name "+name, nameBurst, nameEvery)
}

// succeeded gives back what an attempt took that was no guess.
func (l *limiter) succeeded(name, address, device string) {
	if l.isDevice(name, device) {
		l.giveBack("device " + device)
		return
	}
	l.giveBack("address " + network(address))
	l.giveBack("name " + name)
}

func (l *limiter) giveBack(bucket string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.buckets.Get(bucket); ok {
		b.AllowN(l.now(), -1) // never above the burst
	}
}

func (l *limiter) take(bucket string, burst int, every time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets.Get(bucket)
	if !ok {
		b = rate.NewLimiter(rate.Every(every), burst)
		l.buckets.Add(bucket, b)
	}
	now := l.now()
	if b.AllowN(now, 1) {
		return 0
	}
	return every
}

// network is the part of an address that one holder has: all of IPv4, the first half of IPv6.
func network(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil || parsed.Unmap().Is4() {
		return parsed.Unmap().String()
	}
	return netip.PrefixFrom(parsed, 64).Masked().String()
}

// newDevice is the cookie of a browser that logged in with the name.
func (l *limiter) newDevice(name string) string {
	nonce := rand.Text()
	return nonce + "." + l.sign(name, nonce)
}

func (l *limiter) isDevice(name, device string) bool {
	nonce, signature, ok := strings.Cut(device, ".")
	return ok && hmac.Equal([]byte(signature), []byte(l.sign(name, nonce)))
}

func (l *limiter) sign(name, nonce string) string {
	mac := hmac.New(sha256.New, l.key)
	mac.Write([]byte(name + "\x00" + nonce))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
