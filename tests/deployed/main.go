// Command deployed is the application that the stories of deployments promote to production. It
// sends its version over HTTP on port 9080 and over a WebSocket on port 9081. It reads a
// configuration file of lines NAME=VALUE: answer=500 is the status of all its answers, exit=N
// ends it at once, and delay=D lets it listen that much later.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/websocket"
)

func main() {
	version, err := os.ReadFile("/app/version")
	if err != nil {
		fmt.Fprintln(os.Stderr, "deployed:", err)
		os.Exit(2)
	}
	config := map[string]string{}
	if len(os.Args) > 1 {
		config = read(os.Args[1])
	}
	text := fmt.Sprintf("version %s config %s\n", strings.TrimSpace(string(version)), config["name"])
	fmt.Print("starting ", text)
	if status, err := strconv.Atoi(config["exit"]); err == nil {
		fmt.Println("leaving, as the configuration says")
		os.Exit(status)
	}
	serve(text, config)
}

func read(file string) map[string]string {
	config := map[string]string{}
	f, err := os.Open(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "deployed:", err)
		os.Exit(2)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		config[name] = value
	}
	return config
}

func serve(text string, config map[string]string) {
	if delay, err := time.ParseDuration(config["delay"]); err == nil {
		time.Sleep(delay)
	}
	web := &http.Server{Addr: ":9080", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status, err := strconv.Atoi(config["answer"]); err == nil {
			w.WriteHeader(status)
		}
		fmt.Fprint(w, text)
	})}
	socket := &http.Server{Addr: ":9081", Handler: websocket.Server{Handler: func(conn *websocket.Conn) {
		var asked string
		for websocket.Message.Receive(conn, &asked) == nil {
			if websocket.Message.Send(conn, asked+": "+text) != nil {
				return
			}
		}
	}}}
	ended := make(chan error, 2)
	go func() { ended <- web.ListenAndServe() }()
	go func() { ended <- socket.ListenAndServe() }()
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	select {
	case err := <-ended:
		fmt.Fprintln(os.Stderr, "deployed:", err)
		os.Exit(1)
	case <-stop.Done():
	}
	ctx, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	_ = web.Shutdown(ctx)
	_ = socket.Close()
	fmt.Println("stopped")
}
