package container_test

import (
	"fmt"

	"runtests/pkg/container"
)

func ExampleBuildError() {
	fmt.Println(&container.BuildError{Line: 3, Instruction: "RUN make install", Code: 2, Message: "the builder's own words"})
	// Output: line 3 of the Dockerfile: RUN make install: exit status 2
}
