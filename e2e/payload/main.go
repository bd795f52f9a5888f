// Command payload is the one program in the images of the tests and the demo: it does, inside a
// container, what its arguments say. It is linked statically, for the images hold nothing else.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "pause": // until told to stop; the sandbox's own process
		wait()
	case "leave": // a file that tells that it ran, and stay
		if err := os.WriteFile(strings.Join(args, ""), nil, 0o600); err != nil { //nolint:gosec // it is in a container
			fail(err)
		}
		wait()
	case "copy": // standard input to standard output
		if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
			fail(err)
		}
	case "serve": // HTTP, at this address
		server := &http.Server{Addr: strings.Join(args, ""), ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(answer)}
		fail(server.ListenAndServe())
	case "print":
		fmt.Println(strings.Join(args, " "))
	case "env": // the value in hexadecimal, for it may be no text
		fmt.Printf("%x\n", os.Getenv(strings.Join(args, "")))
	case "exit":
		status, err := strconv.Atoi(strings.Join(args, ""))
		if err != nil {
			usage()
		}
		os.Exit(status)
	default:
		usage()
	}
}

func wait() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
}

// answer says hello, and fails at /sick.
func answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/sick" {
		w.WriteHeader(http.StatusInternalServerError)
	}
	fmt.Fprintln(w, "hello over HTTP")
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: payload pause | leave FILE | copy | serve ADDRESS | print TEXT... | env NAME | exit STATUS")
	os.Exit(2)
}
