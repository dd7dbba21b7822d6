#!/bin/sh
# Does the project compile, and do its own tests pass? This compiles a copy, because
# the sources are mounted read-only.
set -eu
cp -r /structures /tmp/structures
cd /tmp/structures
ocamlfind ocamlopt -version
dune build --root . --display short
dune runtest --root . --force
