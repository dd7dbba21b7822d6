package render

import (
	"path/filepath"
	"strings"

	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/report"
)

// The bounds of the current failures on the page of the runs. The page says how much it leaves out.
const (
	maxCards     = 12  // failures with details
	maxOpenCards = 3   // cards with an open tail
	maxCardLines = 12  // lines of a tail
	maxCardLine  = 300 // bytes from the end of such a line
	maxOpened    = 10  // records that are read
)

// cardView is a current failure.
type cardView struct {
	stepView
	Report  string // a link to the step in the run's report
	Caption string // "The last 12 lines"
	Open    bool   // the tail is open
}

// moreView is a current failure without a card.
type moreView struct{ Outcome, Name, Reason, Link string }

// addFailures adds the steps that fail now. records has the records that are read already, and gets those
// that are read.
func (v *indexView) addFailures(logs string, records map[*history.PastRun]*report.Run, failing []history.Entry) {
	for _, entry := range failing {
		if _, read := records[entry.Run]; !read && len(records) < maxOpened {
			records[entry.Run], _ = history.OpenFolder(filepath.Join(logs, entry.Run.ID)) // nil on error: its steps get no card
		}
		run := records[entry.Run]
		if result := recorded(run, entry); result != nil && len(v.Cards) < maxCards {
			v.Cards = append(v.Cards, newCard(run, *result, entry))
			continue
		}
		v.More = append(v.More, moreView{
			Outcome: plain.Clean(string(entry.Outcome())),
			Name:    entry.Step().Title(),
			Reason:  "after " + entry.Step().Duration.String(),
			Link:    stepLink(entry),
		})
	}
	for i := range min(len(v.Cards), maxOpenCards) {
		v.Cards[i].Open = true
	}
	v.Failing = len(failing)
	v.MoreTitle = "Other failures: " + report.Thousands(int64(len(v.More)))
}

// newCard returns the card of the result of a step of a run.
func newCard(run *report.Run, result report.Result, entry history.Entry) cardView {
	result.Log.Tail = result.Log.Tail.Last(maxCardLines).ShortLines(maxCardLine)
	card := cardView{stepView: newStepView(run, &result), Report: stepLink(entry)}
	card.LogLink, card.PageLink = below(entry.Run.ID, card.LogLink), below(entry.Run.ID, card.PageLink)
	if title := strings.TrimSuffix(card.TailTitle, ":"); title != "" {
		card.Caption = strings.ToUpper(title[:1]) + title[1:]
	}
	return card
}

// below returns a link of a run's page as it is from the logs folder.
func below(id, link string) string {
	if link == "" {
		return ""
	}
	return "./" + id + "/" + strings.TrimPrefix(link, "./")
}
