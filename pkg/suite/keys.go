package suite

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"runtests/pkg/hint"
	"runtests/pkg/nearest"
)

// maxDuration keeps a time plus a duration from overflowing.
const maxDuration = 366 * 24 * time.Hour

// setter reads a key's value into the variable that the setter is made for.
type setter func(value)

// keys are the keys of a mapping, and how each is read.
type keys struct {
	what       string // the mapping, for messages: "a test"
	set        map[string]setter
	extensions bool // x-… keys are ignored
	// refused are the keys of Compose that are not supported, each with its remedy.
	refused map[string]string
}

// values are the values of the known keys that a mapping gives.
type values map[string]value

// or returns the value of the first of the keys that is given, or other.
func (vs values) or(other value, keys ...string) value {
	for _, key := range keys {
		if v := vs[key]; v.given() {
			return v
		}
	}
	return other
}

// decode reads the mapping v, and reports unknown and repeated keys.
func (k keys) decode(v value) values {
	read := values{}
	for _, p := range v.pairs(k.what) {
		set, known := k.set[p.name]
		switch {
		case known:
			read[p.name] = p.value.as(p.name)
			set(read[p.name])
		case k.extensions && strings.HasPrefix(p.name, "x-"):
		case k.refused[p.name] != "":
			p.key.fail(k.refused[p.name], "key %s of %s is not supported", quoted(p.name), k.what)
		default:
			known := slices.Sorted(maps.Keys(k.set))
			meant := nearest.Of(p.name, known)
			p.key.fail(nearest.Hint(p.name, known), "unknown key %s in %s", quoted(p.name), k.what)
			if secretName.MatchString(meant) || meant == "ping" {
				p.value.markSecret()
			}
		}
	}
	return read
}

// section reads a mapping of keys.
func section(k keys) setter { return func(v value) { k.decode(v) } }

// later leaves a value to whoever called decode.
func later(value) {}

// The makers of setters for one kind of value each. They leave the variable as it is if the value
// is at fault.

// parsedVar reads what parse accepts.
func parsedVar[T any](to *T, parse func(text string) (T, error)) setter {
	return func(v value) {
		if result, ok := parsed(v, parse); ok {
			*to = result
		}
	}
}

// unshownVar reads what parse accepts, as unshown does.
func unshownVar[T any](to *T, parse func(text string) (T, error)) setter {
	return func(v value) {
		if result, ok := unshown(v, parse); ok {
			*to = result
		}
	}
}

// textVar reads a text that keeps the rule.
func textVar(to *string, keeps rule) setter { return parsedVar(to, keeps) }

// textsVar reads a list. A single value is a list of one where alone allows it.
func textsVar(to *[]string, alone bool, keeps rule) setter {
	return func(v value) {
		if texts, ok := list(v, alone, keeps); ok {
			*to = texts
		}
	}
}

// choiceVar reads one of a few words.
func choiceVar[S ~string](to *S, choices ...S) setter {
	return parsedVar(to, func(text string) (S, error) {
		if slices.Contains(choices, S(text)) {
			return S(text), nil
		}
		var names []string
		for _, choice := range choices {
			names = append(names, string(choice))
		}
		last := len(names) - 1
		return "", hint.Errorf(nearest.Hint(text, names), "must be %s or %s", strings.Join(names[:last], ", "), names[last])
	})
}

func intVar(to *int, low, high int) setter {
	return parsedVar(to, func(text string) (int, error) {
		i, err := strconv.Atoi(text)
		if err != nil || i < low || i > high {
			return 0, fmt.Errorf("must be a whole number from %d to %d", low, high)
		}
		return i, nil
	})
}

var booleans = map[string]bool{"true": true, "yes": true, "on": true, "false": false, "no": false, "off": false}

func boolVar(to *bool) setter {
	return parsedVar(to, func(text string) (bool, error) {
		yes, ok := booleans[strings.ToLower(text)]
		if !ok {
			return false, errors.New("must be true or false")
		}
		return yes, nil
	})
}

// sizeVar reads a size of at least low, in bytes or with a unit: 64m, 1.5g.
func sizeVar(to *int64, low int64) setter {
	return parsedVar(to, func(text string) (int64, error) {
		size, err := units.RAMInBytes(text)
		switch {
		case err != nil:
			return 0, errors.New("must be a size such as 512m or 2g")
		case size < low:
			return 0, errors.New("must be at least " + units.BytesSize(float64(low)))
		}
		return size, nil
	})
}

// durationVar reads a duration of at least low.
func durationVar(to *time.Duration, low time.Duration) setter {
	return parsedVar(to, func(text string) (time.Duration, error) {
		duration, err := parseDuration(text)
		switch {
		case err != nil:
			remedy := ""
			if _, err := strconv.ParseFloat(text, 64); err == nil && text != "0" {
				remedy = "give it a unit: " + text + "s, " + text + "m"
			}
			return 0, hint.Errorf(remedy, "must be a duration such as 90s, 1h30m or 1d")
		case duration < low && low <= time.Nanosecond:
			return 0, errors.New("must be more than 0")
		case duration < low:
			return 0, fmt.Errorf("must be at least %s", low)
		case duration > maxDuration:
			return 0, errors.New("must be at most a year")
		}
		return duration, nil
	})
}

var daysAndWeeks = regexp.MustCompile(`(?s)^(?:(\d{1,4})w)?(?:(\d{1,4})d)?(.*)$`)

// parseDuration reads a duration as time.ParseDuration does, with optional weeks and days in
// front, as in Compose: 1w, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	m := daysAndWeeks.FindStringSubmatch(text)
	weeks, _ := strconv.Atoi(m[1])
	days, _ := strconv.Atoi(m[2])
	whole := time.Duration(weeks*7+days) * 24 * time.Hour
	if m[3] == "" && m[1]+m[2] != "" {
		return whole, nil
	}
	rest, err := time.ParseDuration(m[3])
	if err != nil || rest < 0 && whole > 0 {
		return 0, errors.New("not a duration")
	}
	return whole + min(rest, maxDuration+1), nil
}
