package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// A reservation keeps a port for the engine while the engine is down between
// two starts: the address is bound here and never listened on. Both sides set
// SO_REUSEADDR, so the child can bind it too, and the kernel gives it to
// nobody who asks for any free port. Without it a restart would sometimes find
// its port taken by an outgoing connection, and the address, which clients
// hold on to, would have to change.
type reservation struct {
	addr netip.AddrPort
	fd   int
}

// reserve takes a host:port; port 0 means any free one.
func reserve(address string) (*reservation, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil, fmt.Errorf("address %q: the host must be an IP address", address)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("address %q: %q is no port", address, port)
	}
	ip = ip.Unmap()

	domain, sa := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: int(n), Addr: ip.As16()})
	if ip.Is4() {
		domain, sa = syscall.AF_INET, &syscall.SockaddrInet4{Port: int(n), Addr: ip.As4()}
	}
	// No child may inherit it: a lasting copy would keep the port after Stop.
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(domain, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", address, err)
	}
	r := &reservation{fd: fd}
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, sa)
	}
	if err == nil {
		sa, err = syscall.Getsockname(fd)
	}
	if err != nil {
		r.release()
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("address %s: another program listens there; choose another port, or 0 for any free one: %w", address, err)
		}
		return nil, fmt.Errorf("address %s: %w", address, err)
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		n = uint64(sa.Port)
	case *syscall.SockaddrInet6:
		n = uint64(sa.Port)
	}
	r.addr = netip.AddrPortFrom(ip, uint16(n))
	return r, nil
}

func (r *reservation) release() {
	if r != nil && r.fd >= 0 {
		_ = syscall.Close(r.fd) // nothing was sent or received on it
		r.fd = -1
	}
}
