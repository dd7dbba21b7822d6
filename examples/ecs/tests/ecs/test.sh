#!/bin/sh
# Compile the application, install it to /ecs, run its own tests, start it, send requests over HTTP and the
# WebSocket, and stop it. A kept container has the application in /ecs, ready for /ecs/run --config FILE, and
# nothing else from this test.
set -eu

work=$(mktemp -d)
server=

finish() {
  status=$?
  [ -z "$server" ] || kill "$server" 2>/dev/null || :
  if [ "$status" -ne 0 ] && [ -s "$work/ecs.log" ]; then
    echo 'the end of what the server logged:'
    tail -n 20 "$work/ecs.log"
  fi
  rm -rf "$work"
}
trap finish EXIT

# expect SUBJECT EXPECTED GOT
expect() {
  if [ "$2" = "$3" ]; then
    echo "ok       $1"
  else
    printf 'FAILED   %s\n  expected %s\n  got      %s\n' "$1" "$2" "$3"
    return 1
  fi
}

# Not 127.0.0.1: in production the proxy connects from outside the container, so the server must listen on every address.
here=$(hostname -i | cut -d' ' -f1)

http() { curl --silent --show-error --max-time 60 "http://$here:9080$1"; }
status_of() { curl --silent --show-error --max-time 60 --output /dev/null --write-out '%{http_code}' "$@"; }

echo '--- compile'
cp -R /src/ecs "$work/src"
make -C "$work/src" all
echo '--- its own tests'
make -C "$work/src" check
make -C "$work/src" install PREFIX=/ecs

echo '--- start'
status=0
words=$(/ecs/run --config /nowhere.json 2>&1) || status=$?
expect 'without its configuration it does not start' '2 ecs: /nowhere.json: No such file or directory' "$status $words"
cp /test/config.json "$work"
/ecs/run --config "$work/config.json" &
server=$!
curl --silent --fail --output "$work/page.html" --retry 30 --retry-delay 1 --retry-connrefused "http://$here:9080/"

echo '--- HTTP'
expect 'the page' '<title>Combinatorial structures</title>' "$(grep -o '<title>.*' "$work/page.html")"
expect 'the page knows the WebSocket' '  const place = 9081' "$(grep 'const place' "$work/page.html")"
expect 'the list' '{"name":"binary-trees","title":"Binary trees by inner nodes","oeis":"A000108"}' \
  "$(http /structures | grep -o '{[^}]*}' | head -n 1)"
expect 'a count' '{"structure":"motzkin-paths","size":10,"count":"2188"}' "$(http /count/motzkin-paths/10)"
expect 'a count of 596 digits' \
  "$(python3 -c 'from math import comb; print("{\"structure\":\"binary-trees\",\"size\":1000,\"count\":\"%d\"}" % (comb(2000, 1000) // 1001))')" \
  "$(http /count/binary-trees/1000)"
expect 'an unknown structure' '404 {"error":"no such structure"}' \
  "$(status_of "http://$here:9080/count/unheard-of/3") $(http /count/unheard-of/3)"
expect 'a size that is too large' '400 {"error":"a size is a number from 0 to 1000"}' \
  "$(status_of "http://$here:9080/count/permutations/1001") $(http /count/permutations/1001)"
expect 'a size that is none' 400 "$(status_of "http://$here:9080/count/permutations/0x10")"
expect 'another page' 404 "$(status_of "http://$here:9080/../etc/passwd" --path-as-is)"
expect 'another method' 405 "$(status_of "http://$here:9080/" --data x=1)"

echo '--- WebSocket'
python3 /test/ask.py "$here" 9081

echo '--- stop'
python3 /test/ask.py "$here" 9081 "$server"
status=0
wait "$server" || status=$?
server=
expect 'its exit status' 0 "$status"
expect 'its last words' stopped "$(tail -n 1 "$work/ecs.log" | cut -d' ' -f2)"
