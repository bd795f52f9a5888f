package policy

import "time"

// window is the time in which a decision stays as it is: from the last moment before now at which it
// could have changed until the next one. A clock may jump back, so both ends matter.
type window struct {
	from  time.Time
	until time.Time // zero: for ever
}

// reached says whether now is at or past moment, and narrows the window to where that stays so.
func (w *window) reached(moment, now time.Time) bool {
	if now.Before(moment) {
		if w.until.IsZero() || moment.Before(w.until) {
			w.until = moment
		}
		return false
	}
	if moment.After(w.from) {
		w.from = moment
	}
	return true
}

func (w *window) contains(now time.Time) bool {
	return !now.Before(w.from) && (w.until.IsZero() || now.Before(w.until))
}
