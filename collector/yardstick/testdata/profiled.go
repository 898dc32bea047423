package main

import (
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
)

// The yardstick builds this file into the collector when profiles are asked
// for; no other build has it.
func init() {
	path := os.Getenv("YARDSTICK_PROFILE")
	if path == "" {
		return
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	go func() { panic(http.Serve(ln, nil)) }()
}
