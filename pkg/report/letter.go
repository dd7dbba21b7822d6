package report

// Outcomes are the outcomes in the order in which a legend lists them. The last one is that of
// a step that has not ended.
var Outcomes = []Outcome{Passed, Failed, Timeout, Broken, Blocked, Interrupted, ""}

// letters stand for outcomes wherever many are shown. What did not pass has a capital.
var letters = map[Outcome]byte{
	Passed: 'p', Failed: 'F', Timeout: 'T', Broken: 'B', Blocked: 'X', Interrupted: 'I', "": '-',
}

// Letter returns the letter that stands for o: '?' for an outcome that this program does not know.
func (o Outcome) Letter() byte {
	if letter, ok := letters[o]; ok {
		return letter
	}
	return '?'
}
