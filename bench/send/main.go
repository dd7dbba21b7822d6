// Command send brings a container to another engine, as `runtests deploy` does, and
// nothing else, so that the time and the memory of that alone are measured. It prints the
// bytes that went there.
//
//	send HOST CONTAINER TAG
package main

import (
	"context"
	"fmt"
	"os"

	"runtests/pkg/engine"
	"runtests/pkg/transfer"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: send HOST CONTAINER TAG")
		os.Exit(2)
	}
	sent, err := send(context.Background(), os.Args[1], transfer.Options{Container: os.Args[2], Tag: os.Args[3]})
	if err != nil {
		fmt.Fprintln(os.Stderr, "send:", err)
		os.Exit(1)
	}
	fmt.Println(sent.Bytes)
}

func send(ctx context.Context, host string, o transfer.Options) (transfer.Sent, error) {
	from, err := engine.Connect(ctx, engine.Options{})
	if err != nil {
		return transfer.Sent{}, err
	}
	to, err := engine.Connect(ctx, engine.Options{Host: host})
	if err != nil {
		return transfer.Sent{}, err
	}
	return transfer.Send(ctx, from, to, o)
}
