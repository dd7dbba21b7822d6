// Package plain makes text from strangers safe and short: it removes terminal escapes and
// control characters, reads the end of a log of any size in a few MB of memory, and takes
// secrets out of what a person reads.
package plain
