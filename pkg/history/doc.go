// Package history keeps the runs of a suite on disk: it creates and locks their folders, records
// them, reads them back, compares a run with those before it, notes runs that were cut off or
// skipped, and removes old folders.
//
// A record is replaced atomically, so a run that is killed leaves what it knew. Anybody may have
// changed what is in a folder, so this package reads it without following links and within bounds.
package history
