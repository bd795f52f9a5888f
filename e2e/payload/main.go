// Command payload is the one program in the images of the tests and the demo: it does, inside a
// container, what its arguments say. It is linked statically, for the images hold nothing else.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "pause": // until told to stop; the sandbox's own process
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
		<-signals
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

func usage() {
	fmt.Fprintln(os.Stderr, "usage: payload pause | print TEXT... | env NAME | exit STATUS")
	os.Exit(2)
}
