package events

import (
	"encoding/csv"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

// CSVPath is where CSV is served.
const CSVPath = "/api/v1/events.csv"

const csvTimeout = 30 * time.Second // of one page

var csvHeader = []string{
	"id", "action", "template", "policy", "severity", "reason", "because", "image", "image_id", "registry", "cluster", "node", "node_id", "node_addresses",
	"namespace", "pod", "pod_uid", "pod_address", "container", "asks", "bundle_revision", "enforce_at", "first_time", "last_time", "count",
}

// CSV writes all events that the filter in the query lets through, page by page. The query's fields are
// those of EventFilter in the singular, repeated for more values, and order.
func (s *Service) CSV(w http.ResponseWriter, r *http.Request) {
	f, order, err := csvQuery(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer func() { _ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) }() // the connection may serve other requests
	out := csv.NewWriter(w)
	var after *store.EventPosition
	for begun := false; ; begun = true {
		var found []store.Event
		err := s.store.Read(r.Context(), func(tx *store.Tx) (err error) {
			found, _, err = tx.Events(r.Context(), f, order, after, maxPage, maxTotal)
			return err
		})
		if err != nil && !begun {
			s.csvError(w, err)
			return
		}
		if !begun {
			w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
			w.Header().Set("Content-Disposition", `attachment; filename="events.csv"`)
			_ = out.Write(csvHeader) // Flush tells
		}
		if err == nil {
			err = writeCSV(w, out, found)
		}
		if err != nil {
			s.options.Log.WithError(err).Info("events as CSV were cut off")
			panic(http.ErrAbortHandler) // or what is cut off would look complete
		}
		if len(found) < maxPage {
			return
		}
		after = &found[len(found)-1].Position
	}
}

func (s *Service) csvError(w http.ResponseWriter, err error) {
	err = rpc.Error(err, s.options.Log)
	status := http.StatusInternalServerError
	if connect.CodeOf(err) == connect.CodeUnavailable {
		status = http.StatusServiceUnavailable
	}
	http.Error(w, err.Error(), status)
}

func writeCSV(w http.ResponseWriter, out *csv.Writer, found []store.Event) error {
	// Who does not read must not hold central for ever.
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(csvTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	for _, e := range found {
		told, err := event(e)
		if err != nil {
			return err
		}
		if err := out.Write(csvRow(told)); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func csvRow(e *portcullisv1.Event) []string {
	var asks []string
	for _, a := range e.GetAsks() {
		asks = append(asks, strings.TrimSuffix(a.GetParameter()+" "+a.GetDetail(), " "))
	}
	row := []string{
		e.GetId(), actionName(e.GetAction()), e.GetTemplate(), e.GetPolicy(), e.GetSeverity(), e.GetReason(), e.GetBecause(), e.GetImage(), e.GetImageId(), e.GetRegistry(),
		e.GetCluster(), e.GetNode(), e.GetNodeId(), strings.Join(e.GetNodeAddresses(), " "),
		e.GetNamespace(), e.GetPod(), e.GetPodUid(), e.GetPodAddress(), e.GetContainer(), strings.Join(asks, ", "), e.GetBundleRevision(),
		csvTime(e.GetEnforceAt()), csvTime(e.GetFirstTime()), csvTime(e.GetLastTime()), strconv.FormatInt(e.GetCount(), 10),
	}
	for i := range row {
		row[i] = harmless(row[i])
	}
	return row
}

// harmless keeps a spreadsheet from taking a text, which a pod's author may have written, for a formula.
func harmless(text string) string {
	if strings.ContainsAny(text[:min(len(text), 1)], "=+-@\t\r\n") || slices.ContainsFunc([]string{"＝", "＋", "－", "＠"}, func(p string) bool { return strings.HasPrefix(text, p) }) {
		return "'" + text
	}
	return text
}

func csvTime(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Format(time.RFC3339Nano)
}

func actionName(a portcullisv1.Action) string {
	if a == portcullisv1.Action_ACTION_BLOCK {
		return "block"
	}
	return "alert"
}

var csvOrders = map[string]portcullisv1.EventOrder{
	"": portcullisv1.EventOrder_EVENT_ORDER_LAST_TIME_DESC, "-last_time": portcullisv1.EventOrder_EVENT_ORDER_LAST_TIME_DESC,
	"last_time": portcullisv1.EventOrder_EVENT_ORDER_LAST_TIME_ASC, "-count": portcullisv1.EventOrder_EVENT_ORDER_COUNT_DESC, "count": portcullisv1.EventOrder_EVENT_ORDER_COUNT_ASC,
}

// csvQuery reads the filter and the order from a query.
func csvQuery(query url.Values) (store.EventFilter, store.EventOrder, error) {
	c := &checks{}
	f := &portcullisv1.EventFilter{}
	lists := map[string]*[]string{
		"template": &f.Templates, "policy": &f.Policies, "node": &f.Nodes, "cluster": &f.Clusters, "namespace": &f.Namespaces, "severity": &f.Severities,
	}
	single := map[string]*string{"address": &f.Address, "image": &f.Image, "image_id": &f.ImageId, "pod": &f.Pod, "container": &f.Container, "finding": &f.Finding}
	times := map[string]**timestamppb.Timestamp{"from": &f.From, "to": &f.To}
	var orderName string
	single["order"] = &orderName
	for name, values := range query {
		list, text, at := lists[name], single[name], times[name]
		c.expect(list != nil || name == "action" || len(values) == 1, name, "is there %d times; write it once", len(values))
		switch {
		case list != nil:
			*list = values
		case text != nil:
			*text = values[0]
		case at != nil:
			t, err := time.Parse(time.RFC3339, values[0])
			c.expect(err == nil, name, "%.40q is not a time; write such as 2026-11-23T12:00:00Z", values[0])
			*at = timestamppb.New(t)
		case name == "action":
			f.Actions = csvActions(c, values)
		default:
			c.expect(false, name, "is not a field to filter by")
		}
	}
	order, known := csvOrders[orderName]
	c.expect(known, "order", "%.40q is not known; write count, -count, last_time or -last_time", orderName)
	if err := c.err(""); err != nil {
		return store.EventFilter{}, store.EventOrder{}, err
	}
	kept, err := filter(f)
	return kept, orders[order], err
}

func csvActions(c *checks, values []string) (actions []portcullisv1.Action) {
	for _, value := range values {
		action, known := map[string]portcullisv1.Action{"alert": portcullisv1.Action_ACTION_ALERT, "block": portcullisv1.Action_ACTION_BLOCK}[value]
		c.expect(known, "action", "%.40q is not known; write alert or block", value)
		actions = append(actions, action)
	}
	return actions
}
