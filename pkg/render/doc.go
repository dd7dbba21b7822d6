// Package render shows runs: as text, JSON, JUnit, TAP and HTML, as the page of all runs, and their
// history as text. Every rendering is made from recorded facts alone, so a run of last month reads
// as it did that morning. What a stranger could have written is cleaned before it is shown.
package render
