// Package inventory lists the packages that are installed in an image, keeps the lists beside the
// runs of a suite, and compares them.
package inventory
