package container

// Unsupported is a setting of a container that an executor cannot honour.
type Unsupported struct {
	Setting string // its key in a suite file, as mem_limit
	Reason  string // what the executor lacks
	Remedy  string // what a person can do about it
	Ignored bool   // the container runs without it; false: the container does not start
}
