package report

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	seconds := func(list ...float64) (d []time.Duration) {
		for _, s := range list {
			d = append(d, time.Duration(s*float64(time.Second)))
		}
		return d
	}
	steady := seconds(100, 101, 99, 100, 102, 98, 100, 100, 101, 99)
	wild := seconds(60, 140, 100, 70, 130, 90, 110, 100, 80, 120)
	for _, test := range []struct {
		name   string
		passes []time.Duration
		took   float64
		usual  string
		pace   Pace
	}{
		{"too few passes", seconds(1, 1, 1, 1), 100, "0s", ""},
		{"as usual", steady, 104, "1m40s", ""},
		{"a quarter more is usual, whatever the spread", steady, 125, "1m40s", ""},
		{"slower", steady, 126, "1m40s", Slower},
		{"faster", steady, 74, "1m40s", Faster},
		{"within a wide spread", wild, 180, "1m40s", ""},
		{"beyond a wide spread", wild, 212, "1m40s", Slower},
		{"one that stood out is no measure", append(seconds(1000), steady[1:]...), 126, "1m40s", Slower},
		{"a second is nothing", seconds(0.1, 0.1, 0.1, 0.1, 0.1), 1, "0.1s", ""},
		{"two are", seconds(0.1, 0.1, 0.1, 0.1, 0.1), 2, "0.1s", Slower},
	} {
		middle, pace := PaceOf(seconds(test.took)[0], test.passes)
		if got := Duration(middle).String(); got != test.usual || pace != test.pace {
			t.Errorf("%s: got %s, %q; want %s, %q", test.name, got, pace, test.usual, test.pace)
		}
	}
}
