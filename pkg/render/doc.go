// Package render shows runs: as text, JSON, JUnit, TAP and HTML, as the page of all runs, and as a
// history in text. A rendering depends on recorded facts alone, so the report of a run from last month
// reads as it did then. What a stranger could have written is cleaned before it is shown.
package render
