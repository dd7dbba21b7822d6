// Package plain makes text from strangers safe and short: it removes terminal escapes and control
// characters, reads the end of a log of any size in a few MB of memory, and masks secrets.
package plain
