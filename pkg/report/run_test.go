package report

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestDurationString(t *testing.T) {
	for d, want := range map[string]string{
		"0s": "0s", "1s": "1s", "40ms": "0.0s", "400ms": "0.4s", "9.94s": "9.9s", "9.96s": "10s", "59.6s": "1m", "190s": "3m10s",
		"41m12s": "41m12s", "2h": "2h", "2h3s": "2h0m3s", "59m59.7s": "1h",
	} {
		var got Duration
		parsed, err := time.ParseDuration(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(fmt.Appendf(nil, "%g", parsed.Seconds()), &got); err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Errorf("%s is shown as %s, want %s", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0 lines", 1: "1 line", 999: "999 lines", 1000: "1,000 lines", 1_234_567: "1,234,567 lines", -1000: "-1,000 lines", -100: "-100 lines"} {
		if got := Count(n, "line"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// The marks of a commit are not cut off with its digits.
func TestShortCommit(t *testing.T) {
	for commit, want := range map[string]string{
		"": "", "1a2b": "1a2b", "0123456789abcdef0123": "0123456789ab", "0123456789abcdef0123-dirty-untrusted": "0123456789ab-dirty-untrusted",
	} {
		if got := ShortCommit(commit); got != want {
			t.Errorf("%s: got %s, want %s", commit, got, want)
		}
	}
}
