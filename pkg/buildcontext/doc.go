// Package buildcontext reads the context of an image build: the files that .dockerignore lets
// through and the Dockerfile. One walk gives both the digest that says whether the context has
// changed and the tar that is sent to the engine.
package buildcontext
