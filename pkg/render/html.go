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

// style is the style sheet of every page.
//
//go:embed style.css
var style string

// templates returns the templates of the pages and of the mail. They are parsed when they are first
// needed, because not every command writes one.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(style) },
		"policy": func() string { return policy },
	}).ParseFS(pages, "*.html"))
})

// policy is the Content-Security-Policy of a page: nothing is loaded, no script runs, and only the
// page's own style applies.
var policy = "default-src 'none'; style-src 'sha256-" + hash(style) + "'; base-uri 'none'; form-action 'none'"

// hash returns the hash of a text as a policy names it.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// HTML writes r as a page without scripts, images or anything from elsewhere. Its links lead to the
// files beside it. It adapts to the width of the window and to the reader's choice of light or dark.
func HTML(w io.Writer, r *report.Run) error {
	return templates().ExecuteTemplate(w, "page.html", newView(r))
}

// MailHTML writes r as the HTML part of a mail: one column, with each style in its element, because mail
// programs drop style sheets.
func MailHTML(w io.Writer, r *report.Run) error {
	return templates().ExecuteTemplate(w, "mail.html", newView(r))
}
