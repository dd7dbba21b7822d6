package render

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"sync"

	"runtests/pkg/report"
)

//go:embed parts.html page.html mail.html index.html log.html
var pages embed.FS

// style is the style of every page.
//
//go:embed style.css
var style string

// templates are the pages and the mail; what they show comes from a view. They are
// parsed when the first is written: not every command writes one.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(style) },
		"policy": func() string { return policy },
	}).ParseFS(pages, "*.html"))
})

// policy is a page's Content-Security-Policy: nothing from anywhere, no script, and no
// other style than the page's own.
var policy = "default-src 'none'; style-src 'sha256-" + hash(style) + "'; base-uri 'none'; form-action 'none'"

// hash is the hash of a text as a policy names it.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// HTML writes r as a page: no script, no image, nothing from elsewhere; its links lead
// to the files beside it. It is wide or narrow as its window is, light or dark as its
// reader likes it.
func HTML(w io.Writer, r *report.Run) error {
	return templates().ExecuteTemplate(w, "page.html", newView(r))
}

// MailHTML writes r as the HTML part of a mail: one column, every style in the element
// that it is for, as mail programs drop all others.
func MailHTML(w io.Writer, r *report.Run) error {
	return templates().ExecuteTemplate(w, "mail.html", newView(r))
}
