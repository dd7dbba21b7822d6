// Package engine runs containers on a container engine that speaks Docker's API: Docker from
// 20.10 on, and Podman. It is the only package that knows the client library and the API's
// versions; its callers speak in the words of package container.
//
// Every call has a bound: none hangs on an engine that accepts and never answers.
package engine
