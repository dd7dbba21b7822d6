package buildcontext

import (
	"io"
	"path/filepath"
	"testing"

	"runtests/pkg/tree/treetest"
)

func TestContextUnderAttack(t *testing.T) {
	treetest.Attack(t, func(dir string, to io.Writer) error {
		c, err := Open(t.Context(), dir, filepath.Join(dir, "Dockerfile"))
		if err != nil {
			return err
		}
		stream := c.Stream(t.Context())
		defer stream.Close()
		_, err = io.Copy(to, stream)
		return err
	})
}
