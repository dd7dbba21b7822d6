package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/docker/cli/cli/connhelper"
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

// sshConn is a connection through ssh; when ssh fails, its errors are ssh's own words.
type sshConn struct{ net.Conn }

// Read reads what the engine says.
func (c sshConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, sshFault(err)
}

// Write writes what the engine shall hear.
func (c sshConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, sshFault(err)
}

// CloseWrite says that no more will be written.
func (c sshConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func sshFault(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if _, said, ok := strings.Cut(err.Error(), "stderr="); ok && strings.TrimSpace(said) != "" {
		return fmt.Errorf("ssh says: %s", strings.TrimSpace(said))
	}
	return err
}
