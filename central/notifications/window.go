package notifications

import (
	"fmt"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
)

// minutes are those since midnight of a time of day such as 08:00.
func minutes(text string) (int, error) {
	t, err := time.Parse("15:04", text)
	if err == nil && len(text) != len("15:04") {
		err = fmt.Errorf("%q has not two digits and two", text)
	}
	return t.Hour()*60 + t.Minute(), err
}

// opens returns the zero time while the channel's window is open, and otherwise when it opens next.
func opens(c *portcullisv1.Channel, now time.Time) (time.Time, error) {
	if c.GetWindowFrom() == c.GetWindowTo() {
		return time.Time{}, nil
	}
	from, err := minutes(c.GetWindowFrom())
	if err != nil {
		return time.Time{}, err
	}
	to, err := minutes(c.GetWindowTo())
	if err != nil {
		return time.Time{}, err
	}
	zone, err := time.LoadLocation(c.GetTimeZone())
	if err != nil {
		return time.Time{}, err
	}
	now = now.In(zone)
	at := now.Hour()*60 + now.Minute()
	open := at >= from && at < to
	if from > to { // over midnight
		open = at >= from || at < to
	}
	if open {
		return time.Time{}, nil
	}
	next := time.Date(now.Year(), now.Month(), now.Day(), 0, from, 0, 0, zone)
	if !next.After(now) {
		next = time.Date(now.Year(), now.Month(), now.Day()+1, 0, from, 0, 0, zone)
	}
	return next, nil
}
