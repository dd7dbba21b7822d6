// Package tree reads a directory that a stranger may change at the same time: a test's container, the
// owner of a repository.
//
// What is read is first opened as a handle (O_PATH, open(2)): relative to the handle of its folder, without
// following a link, and without any effect on what is there, be it a pipe or a device. What the handle
// is decides what is done with it; its content, its names or its target are then read through the handle,
// never by a path. So no exchange of names can lead out of the tree, or make a reader wait.
package tree
