package container

import (
	"strings"
	"testing"

	"runtests/pkg/hint"
)

func TestCheckName(t *testing.T) {
	for name, valid := range map[string]bool{
		"prod-ecs": true, "ecs.2": true, "0_a": true, "ab": true,
		"": false, "a": false, "-ab": false, ".ab": false, "a b": false, "a/b": false, "a\nb": false, "ab\n": false, "é1": false, "ab?": false,
	} {
		err := CheckName(name)
		if (err == nil) != valid {
			t.Errorf("%q: got %v, want it valid: %v", name, err, valid)
		}
		if err != nil && (hint.Of(err) == "" || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q: the error %q with the hint %q", name, err, hint.Of(err))
		}
	}
}

func TestSafeName(t *testing.T) {
	for text, want := range map[string]string{"ecs": "ecs", "a/b@c d": "a_b_c_d", "é\x00\n": "___", "": ""} {
		if got := SafeName(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
