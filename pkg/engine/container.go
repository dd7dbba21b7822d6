// Package engine runs containers on a container engine that speaks Docker's API:
// Docker from 20.10 on, and Podman. It is the only package that knows the client
// library and the API's versions; what it takes and gives are plain values.
//
// Every call has a bound: none hangs on an engine that accepts and never answers.
package engine

import "time"

// Container is a container to run. The zero value of a field leaves the engine's default.
type Container struct {
	Name     string
	Image    string // a reference as people write it; no tag means latest
	Platform string // os/arch, as linux/arm64
	// Entrypoint stands in place of the image's, with its arguments; nil: the image's.
	Entrypoint []string
	Command    []string
	Env        []Variable
	EnvFiles   []string // where Env's secret values came from; for CommandLine only

	User       string
	WorkingDir string

	Mounts []Mount
	Copies []Copy
	Tmpfs  []string // PATH or PATH:OPTIONS

	Memory    int64   // bytes
	ShmSize   int64   // bytes
	CPUs      float64 // 1.5 is one and a half processors
	PidsLimit int64

	NetworkMode string // bridge, none, host, container:NAME or a network's name
	MacAddress  string // as net.ParseMAC reads it
	DNS         []string
	ExtraHosts  []string // HOST:ADDRESS
	Ports       []Port   // of the container, made visible on its host
	Restart     string   // when the engine starts it again: no, always, unless-stopped, on-failure[:N]; empty: no

	Init        bool
	Privileged  bool
	ReadOnly    bool // its root file system
	CapAdd      []string
	CapDrop     []string
	SecurityOpt []string
	Devices     []string // HOST[:CONTAINER[:rwm]]

	Labels    map[string]string
	StopGrace time.Duration // between TERM and KILL
	KeepLog   bool          // the engine's log driver instead of none: `docker logs` works on it
}

// Variable is an environment variable of a container.
type Variable struct {
	Name, Value string
	Secret      bool // its value is never printed
	Inherited   bool // its value is the environment's, and so it is for who runs the command by hand
	FromFile    bool // it comes from one of EnvFiles
}

// Mount is a directory, a file or a volume made visible in a container.
type Mount struct {
	Source   string // an absolute path on the engine's machine (a bind), or a volume's name; empty: a volume without a name
	Target   string // an absolute path in the container
	ReadOnly bool
	Options  []string // other options of Docker's short form, as z, Z, rslave, nocopy
}

// Bind says that the mount is a path of the engine's machine, not a volume.
func (m Mount) Bind() bool { return len(m.Source) > 0 && m.Source[0] == '/' }

// Copy is a directory of this machine whose content is copied into a container before it starts.
type Copy struct {
	Source string // an absolute path on this machine
	Target string // an absolute path in the container; made when missing
}
