package report

import (
	"embed"
	"html/template"
	"io"
	"sync"
)

//go:embed page.html mail.html
var pages embed.FS

// templates are the page and the mail; what they show comes from a view. They are
// parsed when the first is written: not every command writes one.
var templates = sync.OnceValue(func() *template.Template { return template.Must(template.ParseFS(pages, "*.html")) })

// HTML writes r as a page that stands alone: no script, no image, nothing from
// elsewhere. It is wide or narrow as its window is, light or dark as its reader likes it.
func HTML(w io.Writer, r *Run) error {
	return templates().ExecuteTemplate(w, "page.html", newView(r))
}

// MailHTML writes r as the HTML part of a mail: one column, every style in the element
// that it is for, as mail programs drop all others.
func MailHTML(w io.Writer, r *Run) error {
	return templates().ExecuteTemplate(w, "mail.html", newView(r))
}
