package report

// Deployment is what became of a deployment in a run.
type Deployment struct {
	Host       string   `json:"host"`                  // the production machine
	Release    string   `json:"release,omitempty"`     // the tag of the image that runs there now; empty: as before
	Run        string   `json:"run,omitempty"`         // the ID of the run that tested it
	Commit     string   `json:"commit,omitempty"`      // the git commit of the test's directory
	Before     string   `json:"before,omitempty"`      // the tag of the image that ran there before
	Bytes      int64    `json:"bytes,omitempty"`       // sent there of the image
	Outage     Duration `json:"outage_seconds"`        // how long nothing answered there
	Handover   bool     `json:"handover,omitempty"`    // the new version answered before the old one was stopped
	RolledBack bool     `json:"rolled_back,omitempty"` // it was gone back to
}
