package mail

import (
	"context"
	"net"
	"os"
	"strings"
	"time"
)

// helloName returns this machine's name for EHLO: the configured one, its full name, or
// else its address on the connection.
func (s Server) helloName(ctx context.Context, local net.Addr) string {
	if isHostName(s.Hello) || isAddressLiteral(s.Hello) {
		return s.Hello
	}
	if name := fullName(ctx); s.Hello == "" && name != "" {
		return name
	}
	return literal(local)
}

// literal returns addr as an address literal.
func literal(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return "[127.0.0.1]"
	}
	if four := tcp.IP.To4(); four != nil {
		return "[" + four.String() + "]"
	}
	return "[IPv6:" + tcp.IP.String() + "]"
}

// fullName returns this machine's name with its domain, or the empty string: servers
// refuse a name without a domain.
func fullName(ctx context.Context) string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	if isHostName(host) && strings.Contains(host, ".") {
		return host
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return ""
	}
	for _, address := range addresses {
		names, _ := net.DefaultResolver.LookupAddr(ctx, address)
		for _, name := range names {
			name = strings.TrimSuffix(name, ".")
			if strings.HasPrefix(name, host+".") && isHostName(name) {
				return name
			}
		}
	}
	return ""
}
