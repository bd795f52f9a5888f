package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"portcullis/internal/node"
	"portcullis/uplink"
)

// joinTimeout bounds the whole of a join.
const joinTimeout = time.Minute

// joinCommand makes the node a member of a central. The configuration says where its certificate is kept.
func joinCommand(configFile *string) *cobra.Command {
	var address, token, tokenFile string
	command := &cobra.Command{
		Use:   "join --central URL --token-file FILE",
		Short: "Joins this node to a central",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := node.ReadConfig(*configFile)
			if err != nil {
				return err
			}
			if token, err = readToken(token, tokenFile, command.InOrStdin()); err != nil {
				return err
			}
			addresses := config.Central.All()
			if address != "" || len(addresses) == 0 {
				addresses = []string{address}
			}
			return join(command.Context(), config, addresses, token, command.OutOrStdout())
		},
	}
	command.Flags().StringVar(&address, "central", "", "address of central, `https://HOST:PORT` (default: of the configuration)")
	command.Flags().StringVar(&token, "token", "", "join `TOKEN`; others on this machine may see it, and so may the shell's history: rather use --token-file")
	command.Flags().StringVar(&tokenFile, "token-file", "", "`FILE` that holds the join token, - for standard input")
	return command
}

func readToken(token, file string, in io.Reader) (string, error) {
	switch {
	case (token == "") == (file == ""):
		return "", errors.New("join: write either --token-file FILE, - for standard input, or --token TOKEN")
	case token != "":
		return token, nil
	case file != "-":
		opened, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("join: %w", err)
		}
		defer opened.Close()
		in = opened
	}
	text, err := io.ReadAll(io.LimitReader(in, 4096))
	return strings.TrimSpace(string(text)), err
}

// join joins at the first of the addresses that can be reached.
func join(ctx context.Context, config node.Config, addresses []string, token string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	var id, address string
	var err error
	for _, address = range addresses {
		id, err = uplink.Join(ctx, uplink.Joining{Address: address, Token: token, Dir: config.CentralDir(), Info: config.NodeInfo(version)})
		if connect.CodeOf(err) != connect.CodeUnavailable {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	fmt.Fprintf(out, "joined %s as node %s (%s)\n", address, config.Node, id)
	if slices.Contains(config.Central.All(), address) {
		fmt.Fprintln(out, "A running portcullisd connects within a minute; otherwise start it: systemctl start portcullisd")
		return nil
	}
	fmt.Fprintf(out, "Next, write this into the configuration and restart: systemctl restart portcullisd\n\ncentral: {address: %q}\n", address)
	return nil
}
