package images

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"runtests/pkg/buildcontext"
	"runtests/pkg/container"
	"runtests/pkg/suite"
)

// digestFormat is part of every digest. When what goes into a digest changes, it grows, and all
// images are built once more.
const digestFormat = 1

// inputs is what an image is made of, apart from the images that it is built on: SHA-256 sums in
// hexadecimal.
type inputs struct {
	Format     int    `json:"format"`
	Dockerfile string `json:"dockerfile"`
	Context    string `json:"context"`
	Args       string `json:"args"`
	Settings   string `json:"settings"` // target, labels, platform
}

// inputsOf returns the inputs of a build. The sum of its arguments reveals no more of the secret
// ones than the engine does, which keeps build arguments in the image's history.
func inputsOf(b *suite.Build, content *buildcontext.Context) inputs {
	args := slices.Clone(b.Args)
	slices.SortStableFunc(args, func(x, y container.Variable) int { return cmp.Compare(x.Name, y.Name) })
	var pairs [][2]string
	for _, a := range args {
		pairs = append(pairs, [2]string{a.Name, a.Value})
	}
	return inputs{
		Format: digestFormat, Dockerfile: content.DockerfileDigest(), Context: content.Digest(),
		Args: sum(pairs), Settings: sum([]any{b.Target, b.Platform, b.Labels}),
	}
}

// digest returns the digest of the inputs and of the IDs of the parents, by reference.
func (i inputs) digest(parents map[string]string) string {
	return sum([]any{i, parents})
}

// sum returns the SHA-256 of a value as JSON, in which the keys of a map are sorted.
func sum(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("sum up %T: %v", value, err)) // only strings and maps of strings are given
	}
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:])
}
