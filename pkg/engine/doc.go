// Package engine runs containers on a container engine that speaks Docker's API: Docker from
// 20.10 on, and Podman. Only this package knows the client library and the API's versions; its
// callers use the types of package container.
//
// Every call has a bound, so that none hangs on an engine that accepts a connection and never
// answers.
package engine
