#!/bin/sh
# Fails on purpose, to show what a failure looks like: it claims that there
# are 128 Motzkin paths of 7 steps. There are 127.
set -eu
cp -r /structures /tmp/structures
cd /tmp/structures
dune build --root . bin/count.exe
counted=$(_build/default/bin/count.exe motzkin 7 | sed -n 's/^7 //p')
echo "Motzkin paths of 7 steps: expected 128, counted $counted"
echo "(this test fails on purpose)"
[ "$counted" = 128 ]
