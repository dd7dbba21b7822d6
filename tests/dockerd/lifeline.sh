#!/bin/sh
# lifeline.sh DIR: wait for the end of standard input, which is the end of the test program,
# and remove what is left of its engine in DIR: after a panic or a signal nobody else does.
dir=$1
cat >/dev/null
[ -d "$dir" ] || exit 0

# ours WORD: the pids of the processes that have a path in DIR, and WORD, on their command lines.
ours() { grep -slaF -- "$dir/" /proc/[0-9]*/cmdline | xargs -r grep -slaF -- "$1" | cut -d/ -f3; }

# The daemon stops its containers first; it may be frozen.
for pid in $(ours dockerd); do kill -TERM "$pid" && kill -CONT "$pid"; done 2>/dev/null
tries=0
while [ "$(ours dockerd)" ] && [ $((tries += 1)) -le 300 ]; do sleep 0.1; done

# A shim is the parent of its container's first process, which would go on without it.
for pid in $(ours containerd-shim); do
  # shellcheck disable=SC2046 # words on purpose
  kill -KILL $(cat "/proc/$pid/task/$pid/children") "$pid"
done 2>/dev/null
for pid in $(ours ''); do kill -KILL "$pid"; done 2>/dev/null

while read -r _ target _; do
  case $target in "$dir/"*) echo "$target" ;; esac
done </proc/self/mounts | sort -r | xargs -r -n 1 umount -l
rm -rf --one-file-system "$dir"
