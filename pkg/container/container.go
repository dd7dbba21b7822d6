// Package container holds the words for a container without any engine: what is to be run,
// how it ended, what a list says about it, the errors of a run, and the command line that a
// person types to do the same by hand. Its types are plain values, and it does no I/O.
package container

import "time"

// A Container is a container to run. A field's zero value leaves the engine's default.
type Container struct {
	Name     string
	Image    string // a reference as people write it; no tag means latest
	Platform string // os/arch, as linux/arm64
	// Entrypoint replaces the image's entrypoint and its arguments; nil keeps the image's.
	Entrypoint []string
	Command    []string
	Env        []Variable
	EnvFiles   []string // the files that Env's values were read from; for CommandLine only

	User string
	// HostUser says that User, as UID:GID, is a user of the engine's machine: the owner of files there.
	// It means somebody else on an engine whose containers have users of their own.
	HostUser   bool
	WorkingDir string

	Mounts []Mount
	Copies []Copy
	Tmpfs  []string // PATH or PATH:OPTIONS

	Memory    int64   // bytes
	ShmSize   int64   // bytes
	CPUs      float64 // 1.5 is one and a half processors
	PidsLimit int64   // processes and threads

	NetworkMode string // bridge, none, host, container:NAME or a network's name
	MacAddress  string // as net.ParseMAC reads it
	DNS         []string
	ExtraHosts  []string // HOST:ADDRESS
	Ports       []Port   // published on the host
	Restart     string   // no, always, unless-stopped or on-failure[:N]; empty: no

	Init        bool
	Privileged  bool
	ReadOnly    bool // the root file system
	CapAdd      []string
	CapDrop     []string
	SecurityOpt []string
	Devices     []string // HOST[:CONTAINER[:rwm]]

	Labels    map[string]string
	StopGrace time.Duration // the time between TERM and KILL
	KeepLog   bool          // use the engine's log driver, so that `docker logs` works, instead of the driver none
}

// A Variable is an environment variable of a container.
type Variable struct {
	Name, Value string
	Secret      bool // never print the value
	Inherited   bool // the value is taken from the environment, also when a person runs the command by hand
	FromFile    bool // the value was read from one of EnvFiles
}

// A Copy is a directory of this machine whose content is copied into a container before it starts.
type Copy struct {
	Source string // an absolute path on this machine
	Target string // an absolute path in the container; created if missing
}

// An Exit is how the run of a container ended.
type Exit struct {
	ID        string // empty if no container was created
	Name      string
	ImageID   string // the image it was created from
	Code      int    // the exit status
	OOMKilled bool   // the kernel killed one of its processes because memory ran out
	Started   time.Time
	Finished  time.Time
	Stopped   bool // it was stopped because the context ended
	Killed    bool // it was stopped by KILL, as TERM had no effect
}

// A Summary is what an engine's list says about a container.
type Summary struct {
	ID      string
	Name    string
	Image   string
	Labels  map[string]string
	State   string // created, running, paused, restarting, removing, exited or dead
	Created time.Time
}

// Running reports whether the container has processes.
func (s Summary) Running() bool {
	return s.State == "running" || s.State == "paused" || s.State == "restarting"
}

// An Image is an image that the engine has.
type Image struct {
	ID      string
	Created time.Time
	Size    int64 // bytes
	OS      string
	Arch    string
	Labels  map[string]string
	Tags    []string // REPO:TAG; Podman writes localhost/REPO:TAG
	Layers  []string // digests from the bottom up; an image begins with the layers of its parent
}
