package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/docker/cli/cli/connhelper"

	"runtests/pkg/plain"
)

// dialSSH opens connections through `ssh HOST docker system dial-stdio`.
func dialSSH(helper *connhelper.ConnectionHelper) dialFunc {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := helper.Dialer(ctx, "", "")
		if err != nil {
			return nil, err
		}
		return sshConn{conn}, nil
	}
}

// sshConn is a connection through ssh. When ssh fails, its errors are ssh's messages.
type sshConn struct{ net.Conn }

// Read reads from the engine.
func (c sshConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, sshFault(err)
}

// Write writes to the engine.
func (c sshConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, sshFault(err)
}

// sshFault returns ssh's own message if the library's error has it. The library keeps at most about 36 KiB of it. The
// other machine's words are in it, too.
func sshFault(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if _, stderr, ok := strings.Cut(err.Error(), "stderr="); ok && strings.TrimSpace(stderr) != "" {
		return fmt.Errorf("ssh says: %s", plain.Message(stderr))
	}
	return err
}
