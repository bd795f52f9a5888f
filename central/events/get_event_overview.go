package events

import (
	"context"
	"time"
	_ "time/tzdata" // a container without zone files knows them, too

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
)

const (
	defaultDays = 7
	maxDays     = 180
	maxZone     = 64 // bytes
)

// GetEventOverview returns the totals, and the trend by the days of a time zone.
func (s *Service) GetEventOverview(ctx context.Context, r *portcullisv1.GetEventOverviewRequest) (*portcullisv1.GetEventOverviewResponse, error) {
	c := &checks{}
	days := int(r.GetDays())
	c.expect(days >= 0 && days <= maxDays, "days", "%d is out of range; set 1 to %d, or 0 for %d", days, maxDays, defaultDays)
	zone, err := time.LoadLocation(r.GetTimeZone())
	good := err == nil && len(r.GetTimeZone()) <= maxZone && r.GetTimeZone() != "Local"
	c.expect(good, "time_zone", "%.64q is not known; write such as Asia/Shanghai, or leave it empty for UTC", r.GetTimeZone())
	if err := c.err(""); err != nil {
		return nil, err
	}
	if days == 0 {
		days = defaultDays
	}
	now := s.options.Now().In(zone)
	day := func(back int) time.Time { return time.Date(now.Year(), now.Month(), now.Day()-back, 0, 0, 0, 0, zone) }
	var totals store.EventTotals
	var trend []store.EventTrend
	err = s.store.Read(ctx, func(tx *store.Tx) (err error) {
		totals, trend, err = tx.Trend(ctx, day(days-1))
		return err
	})
	if err != nil {
		return nil, err
	}
	byDate := map[string]*portcullisv1.EventDay{}
	response := &portcullisv1.GetEventOverviewResponse{Blocked: totals.Blocked, Alerted: totals.Alerted}
	for back := days - 1; back >= 0; back-- {
		one := &portcullisv1.EventDay{Date: day(back).Format(time.DateOnly)}
		byDate[one.GetDate()] = one
		response.Days = append(response.Days, one)
	}
	for _, t := range trend {
		if one := byDate[t.Start.In(zone).Format(time.DateOnly)]; one != nil {
			one.Blocked += t.Blocked
			one.Alerted += t.Alerted
		}
	}
	today := response.GetDays()[days-1]
	response.BlockedToday, response.AlertedToday = today.GetBlocked(), today.GetAlerted()
	return response, nil
}

// PolicyHits counts the decisions of each of the policies since then.
func (s *Service) PolicyHits(ctx context.Context, policies []string, since time.Time) (hits map[string]store.EventTotals, err error) {
	err = s.store.Read(ctx, func(tx *store.Tx) error {
		hits, err = tx.PolicyHits(ctx, policies, since)
		return err
	})
	return hits, err
}
