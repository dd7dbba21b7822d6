// Package history keeps the runs of a suite on disk: it creates and locks their folders, records
// them, reads them back, judges a run by those before it, notes what was cut off or skipped, and
// removes old folders.
//
// A record is replaced atomically, so a run that is killed leaves what it knew. What lies in a
// folder may have been changed by anybody: it is read without following links and within bounds.
package history
