package report

// Tail is the end of a log, cleaned for a reader: no terminal escapes, no control
// characters but the tab, valid UTF-8.
type Tail struct {
	Lines []string `json:"lines,omitempty"`
	// Cut is the number of bytes of the log between the end of the lines before
	// and the start of Lines[0] that are left out of a first line too long to keep.
	Cut int64 `json:"cut,omitempty"`
}
