package buildlog

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"runtests/pkg/plain"
)

// TestPlainLog masks a secret wherever the engine cuts its report in pieces, even in an endless line.
func TestPlainLog(t *testing.T) {
	const secret = "open-sesame"
	for _, size := range []int{1, 3, 7, 1000, 1 << 20} {
		var out strings.Builder
		log := newPlainLog(&out, plain.NewMask([]string{secret, "abc"}))
		text := strings.Repeat("0123456789", 6553) + secret + strings.Repeat("y", 70000) + "\nabc public " + secret
		var lines splitter
		for len(text) > 0 {
			n := min(size, len(text))
			lines.add(text[:n], log.secrets, log.line)
			text = text[n:]
			if len(lines.rest) > 2*maxLine+size {
				t.Fatalf("%d bytes are kept", len(lines.rest))
			}
		}
		lines.flush(log.line)
		got := out.String()
		if strings.Contains(strings.ReplaceAll(got, "\n", ""), secret) || strings.Count(strings.ReplaceAll(got, "\n", ""), "***") != 2 || !strings.HasSuffix(got, "\nabc public ***\n") {
			t.Errorf("in pieces of %d: %d bytes", size, len(got))
		}
	}
}

// A secret that a build prints as base64, as a part of a URL or quoted is not written to the log,
// however the engine cuts its report in pieces.
func TestPlainLogOfEncodedSecrets(t *testing.T) {
	const secret = "s3same/o+pen <\x01&'it'>"
	forms := map[string]string{
		"base64":          base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
		"base64 of a URL": base64.RawURLEncoding.EncodeToString([]byte(secret + "?")),
		"a URL's query":   "https://example.org/?t=" + url.QueryEscape(secret),
		"a URL's path":    "https://example.org/" + url.PathEscape(secret),
		"quoted":          fmt.Sprintf("cannot open %q", secret),
	}
	const inner = "s3same/o+pen" // no encoding of it may be left either
	for name, form := range forms {
		for _, size := range []int{7, 1 << 20} {
			for _, before := range []int{0, maxLine - 10, maxLine + 10} {
				var out strings.Builder
				log := newPlainLog(&out, plain.NewMask([]string{secret}))
				text := strings.Repeat("-", before) + form + strings.Repeat("-", maxLine+2*log.secrets.Longest()) + "\n"
				var lines splitter
				for len(text) > 0 {
					n := min(size, len(text))
					lines.add(text[:n], log.secrets, log.line)
					text = text[n:]
				}
				lines.flush(log.line)
				got := strings.ReplaceAll(out.String(), "\n", "")
				for _, left := range []string{
					inner, url.QueryEscape(inner), url.PathEscape(inner),
					base64.RawStdEncoding.EncodeToString([]byte(inner)), base64.RawStdEncoding.EncodeToString([]byte("user:" + inner))[7:],
				} {
					if strings.Contains(got, left) {
						t.Errorf("%s, in pieces of %d after %d bytes: %q is left", name, size, before, left)
					}
				}
				if !strings.Contains(got, "***") {
					t.Errorf("%s, in pieces of %d after %d bytes: it is not there", name, size, before)
				}
			}
		}
	}
}
