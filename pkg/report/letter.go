package report

// Outcomes lists the outcomes in the order of a legend. The last is that of a step that has not ended.
var Outcomes = []Outcome{Passed, Failed, Timeout, Broken, Blocked, Interrupted, ""}

// letters stand for outcomes where many are shown. Failures have capitals.
var letters = map[Outcome]byte{
	Passed: 'p', Failed: 'F', Timeout: 'T', Broken: 'B', Blocked: 'X', Interrupted: 'I', "": '-',
}

// Letter returns the letter for o, or '?' for an outcome that this program does not know.
func (o Outcome) Letter() byte {
	if letter, ok := letters[o]; ok {
		return letter
	}
	return '?'
}
