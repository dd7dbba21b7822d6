package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	docker "github.com/fsouza/go-dockerclient"
)

// maxAnswer bounds an answer that is not a stream, in bytes. The list of 10,000 images has a few
// million.
const maxAnswer = 64 << 20

// boundedAnswers is a transport whose answers end with an error at a number of bytes.
type boundedAnswers struct {
	http.RoundTripper
	bound int
}

// RoundTrip makes a request.
func (b boundedAnswers) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(request)
	if err == nil {
		response.Body = &boundedBody{response.Body, b.bound, 0}
	}
	return response, err
}

// boundedBody is an answer with a bound, in bytes.
type boundedBody struct {
	io.ReadCloser
	bound, read int
}

// Read reads the answer.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.read += n; b.read > b.bound {
		return 0, fmt.Errorf("the engine's answer is longer than %d MiB", b.bound>>20)
	}
	return n, err
}

// unusedEndpoint makes the library leave every connection to our transport.
const unusedEndpoint = "unix:///unused"

// client returns the library's client for one call. Its connections end with ctx, even in calls
// that take no context. It is a copy, which is cheap and has the engine's version.
func (e *Engine) client(ctx context.Context) *docker.Client {
	return e.clientOver(e.transport(ctx))
}

func (e *Engine) clientOver(t *http.Transport) *docker.Client {
	c := *e.base
	c.HTTPClient = &http.Client{Transport: boundedAnswers{t, e.maxAnswer}}
	return &c
}

// transport returns a transport for one call. Its connections end with ctx.
func (e *Engine) transport(ctx context.Context) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true, DisableCompression: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return e.open(ctx) },
	}
}

// withVersion returns a client that knows the engine's version. The library asks for it in its
// first call and stores it without a lock. Therefore that call is made here, once; it is
// answered by cannedAnswer, as the engine would take another 10 ms.
func (e *Engine) withVersion(ctx context.Context, version string) (*docker.Client, error) {
	client := e.client(ctx)
	client.HTTPClient.Transport = cannedAnswer(fmt.Sprintf(`{"ApiVersion":%q}`, version))
	return client, client.PingWithContext(ctx)
}

// cannedAnswer is a transport that answers every request with itself.
type cannedAnswer string

// RoundTrip answers.
func (s cannedAnswer) RoundTrip(request *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(s))), ContentLength: int64(len(s)),
	}, nil
}

// newRequest returns a request that the library does not offer, or whose answer the library does
// not bound. body is a tar archive, or nil.
func (e *Engine) newRequest(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://engine/v"+e.api.String()+path, body)
	if err == nil && body != nil {
		request.Header.Set("Content-Type", "application/x-tar")
	}
	return request, err
}

// send makes a request. The answer may be a stream, so it has no bound; the caller closes its body.
func (e *Engine) send(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	response, err := (&http.Client{Transport: e.transport(ctx)}).Do(request)
	if err != nil {
		return nil, explain(ctx, err)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, refusalIn(response)
	}
	return response, nil
}

// call is newRequest and send.
func (e *Engine) call(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	request, err := e.newRequest(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	return e.send(request)
}

// get decodes the engine's answer to a GET request.
func (e *Engine) get(ctx context.Context, path string, answer any) error {
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	response, err := e.call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return explain(ctx, json.NewDecoder(&boundedBody{response.Body, e.maxAnswer, 0}).Decode(answer))
}

// maxExplanation bounds the engine's explanation of a refusal, in bytes.
const maxExplanation = 64 << 10

// refusalIn returns the refusal in an answer that is not a success. The explanation is JSON, or
// plain text if the engine had begun to make a stream of the answer.
func refusalIn(response *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(response.Body, maxExplanation))
	if data = bytes.TrimSpace(data); err != nil || len(data) == 0 {
		return &refusal{response.StatusCode, "the engine answers " + response.Status}
	}
	var answer struct{ Message string }
	if json.Unmarshal(data, &answer) != nil || answer.Message == "" {
		answer.Message = string(data)
	}
	return &refusal{response.StatusCode, strings.TrimSpace(answer.Message)}
}

// tap is a reader that calls seen with the number of bytes of each Read.
type tap struct {
	io.Reader
	seen func(n int)
}

// Read reads.
func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.seen(n)
	return n, err
}

// untilStalled returns a context that ends when progress was not called for Options.StallTimeout.
func (e *Engine) untilStalled(ctx context.Context) (_ context.Context, progress func(int), end func()) {
	bound := e.options.StallTimeout
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(bound, func() { cancel(&lateError{bound}) })
	return ctx, func(int) { timer.Reset(bound) }, func() {
		timer.Stop()
		cancel(nil)
	}
}
