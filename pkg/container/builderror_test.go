package container

import "fmt"

func ExampleBuildError() {
	fmt.Println(&BuildError{Line: 3, Instruction: "RUN make install", Code: 2, Message: "the builder's own words"})
	// Output: line 3 of the Dockerfile: RUN make install: exit status 2
}
