package suite

import (
	"slices"
	"testing"
)

func TestCheckSecrets(t *testing.T) {
	for check, want := range map[string][]string{
		"":                         {""},
		"http://localhost/health":  {""},
		"http://localhost/?token=": {"token="},
		"http://u:pass-word@h/health?token=0123456789abcdef&x=1": {"pass-word", "0123456789abcdef", "token=0123456789abcdef&x=1"},
		"http://a b/%zz": nil,
	} {
		if got := checkSecrets(check); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", check, got, want)
		}
	}
}
