#!/bin/sh
# Does the program print the numbers in the books, and refuse a structure it does not know?
set -eu
cp -r /structures /tmp/structures
cd /tmp/structures
dune build --root . bin/count.exe
count=_build/default/bin/count.exe

"$count" catalan 100 | grep -x '100 896519947090131496687170070074100632420837521538745909320'
"$count" motzkin 10 | diff - /test/motzkin.expected
! "$count" unheard-of 3
