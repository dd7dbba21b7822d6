package engine

import (
	"context"
	"net"

	"github.com/docker/cli/cli/connhelper"
)

// dialSSH opens connections through `ssh HOST docker system dial-stdio`.
func dialSSH(helper *connhelper.ConnectionHelper) dialFunc {
	return func(ctx context.Context) (net.Conn, error) {
		return helper.Dialer(ctx, "", "")
	}
}
