# shellcheck shell=sh disable=SC1091,SC2154
# Exchanges the container of a deployment for another one, on the production machine. POSIX sh.
#
# It runs on its own: the machine that sent it may die, or the connection be cut, in the midst of it. Before it
# touches anything it has, in the folder swap beside it, the file plan (what is to be done, as variables). Each of
# its parts can be repeated: when it is cut off itself, by a power cut say, "mend" finishes what was committed, and
# takes back what was not. Its end is the file result: one line.
#
#   sh STATE/swap/swap.sh go      the lock of STATE, the folder of the deployment's state, is held on descriptor 9
#   sh STATE/swap/swap.sh mend    the same, when a swap before was cut off
set -u
umask 077
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY CDPATH
cd "${0%/*}/.." || exit 2
. swap/plan

say() { printf '%s\n' "$*"; }

# d: the docker client, which waits for an engine for ever. $limit is in seconds.
limit=120
d() { timeout -k 10 "$limit" docker "$@"; }

# now: hundredths of a second of the machine's own clock, which nobody sets.
now() {
	read -r uptime _ </proc/uptime
	echo "${uptime%.*}${uptime#*.}"
}

is() { [ "$(d inspect --type container -f "{{.State.$2}}" "$1" 2>/dev/null)" = true ]; }
named() { d inspect --type container -f '{{.Name}}' "$1" 2>/dev/null; }

# each_file COMMAND: call it with the number and the place of each file.
each_file() {
	number=0
	while IFS= read -r place; do
		number=$((number + 1))
		"$1" "$number" "$place" || return
	done <swap/places
}

# real FILE: where a link leads.
real() {
	if [ -L "$1" ]; then readlink -f -- "$1"; else printf '%s\n' "$1"; fi
}

# save_file: what is in the place of a file is kept, once. A copy is whole when it has its name.
save_file() {
	[ ! -e "swap/saved/$1" ] && [ ! -e "swap/saved/$1.none" ] || return 0
	target=$(real "$2")
	if [ -e "$target" ]; then
		cp -p -- "$target" "swap/saved/$1.part" && mv "swap/saved/$1.part" "swap/saved/$1"
	else
		: >"swap/saved/$1.none"
	fi
}

# move FILE PLACE: a copy takes the place, in one moment.
move() {
	target=$(real "$2")
	beside=${target%/*}/.${target##*/}.$name-next
	cp -p -- "$1" "$beside" && mv -f -- "$beside" "$target"
}

# put_file: a file that a version had not, as .none says, goes.
put_file() {
	if [ -e "swap/files/$1.none" ]; then
		rm -f -- "$(real "$2")"
	else
		move "swap/files/$1" "$2"
	fi
}

restore_file() {
	target=$(real "$2")
	rm -f -- "${target%/*}/.${target##*/}.$name-next"
	if [ -e "swap/saved/$1" ]; then
		move "swap/saved/$1" "$2"
	elif [ -e "swap/saved/$1.none" ]; then
		rm -f -- "$target"
	fi
}

# attempt: the health check once; its words are for the case that it is the last.
attempt() {
	if [ -n "$check_url" ]; then
		if command -v curl >/dev/null; then
			curl -fsS -m 5 -o /dev/null -- "$check_url" 2>&1
		else
			timeout -k 1 6 wget -q -T 5 -O /dev/null "$check_url" 2>&1 || { status=$?; echo "wget: exit status $status"; return 1; }
		fi
	elif [ -n "$check_command" ]; then
		eval "timeout -k 1 10 docker exec $1 $check_command" 2>&1 || { status=$?; echo "exit status $status"; return 1; }
	else # nothing to ask: that it stays is all that can be known
		sleep 3
		is "$1" Running
	fi
}

# healthy CONTAINER: it answers within the time; otherwise $why says why not.
healthy() {
	since=$(now)
	while :; do
		if words=$(attempt "$1"); then
			if is "$1" Running; then return 0; fi
		fi
		if ! is "$1" Running; then
			why="it ended with exit status $(d inspect --type container -f '{{.State.ExitCode}}' "$1" 2>/dev/null)"
			return 1
		fi
		if [ $(($(now) - since)) -ge "$check_limit" ]; then
			why="it did not pass its health check within $check_timeout: $(printf '%s' "$words" | tail -n 1)"
			return 1
		fi
		sleep "$check_interval" 2>/dev/null || sleep 1
	done
}

# begin: everything up to the moment from which there is no way back. $why says why that was not reached.
begin() {
	say "moving the files into place"
	if ! each_file save_file || ! each_file put_file; then
		why="the files could not be moved into place"
		return 1
	fi
	if [ "$mode" = replace ] && [ -n "$old" ] && is "$old" Running; then
		say "stopping the old version"
		stopped=$(now)
		echo "$stopped" >swap/stopped
		limit=$((grace + 60))
		words=$(d stop -t "$grace" "$old" 2>&1) || { why="the old version could not be stopped: $words"; return 1; }
		limit=120
	fi
	say "starting the new version"
	words=$(d start "$new" 2>&1) || { why="it could not be started: $(printf '%s' "$words" | head -n 1)"; return 1; }
	healthy "$new" || return 1
	ended=$(now)
	say "the new version answers"
	if [ -n "$ports_file" ]; then
		move swap/ports "$ports_file" || { why="$ports_file could not be written"; return 1; }
	fi
}

# finish: what follows that moment.
finish() {
	: >swap/committed
	d update --restart "$restart" "$new" >/dev/null
	is "$new" Running || d start "$new" >/dev/null # it was not to start by itself until now
	if [ -n "$old" ] && is "$old" Running; then
		[ "$drain" = 0 ] || say "the old version has ${drain}s to end what it does"
		sleep "$drain" 2>/dev/null || sleep 2
		limit=$((grace + 60))
		d stop -t "$grace" "$old" >/dev/null
		limit=120
	fi
	if [ -n "$previous" ] && [ "$previous" != "$new" ] && [ -n "$old" ]; then
		d rm -v "$previous" >/dev/null 2>&1
	fi
	if [ -n "$old" ]; then
		[ "$(named "$old")" != "/$name" ] || d rename "$old" "$name-outgoing"
	fi
	[ "$(named "$new")" = "/$name" ] || d rename "$new" "$name"
	if [ -n "$old" ]; then
		# always would start it again with the engine, beside the new one
		d update --restart no "$old" >/dev/null
		[ "$(named "$old")" = "/$name-previous" ] || d rename "$old" "$name-previous"
	fi
	# the files of the version before are those that were found, for going back
	mkdir -p "releases/$old_release"
	rm -rf "releases/$old_release/files"
	cp -Rp swap/saved "releases/$old_release/files" && cp swap/places "releases/$old_release/places"
}

# back: everything as it was, the old version first. It fails when that could not be done.
back() {
	state=back
	say "$why; going back"
	limit=30
	d stop -t 1 "$new" >/dev/null 2>&1
	limit=120
	if [ -n "$ports_file" ]; then
		each_file restore_file && restore_ports || state=down
	else
		each_file restore_file || state=down
	fi
	if [ -n "$old" ] && [ "$old_running" = 1 ]; then
		if ! is "$old" Running; then
			d start "$old" >/dev/null || state=down
		fi
		check_url=$old_url
		reason=$why
		healthy "$old" || state=down
		why=$reason
		if [ "$state" = back ]; then say "the old version answers"; else say "the old version does not answer: $why"; fi
	elif [ -z "$old" ]; then
		state=none
	fi
	ended=$(now)
	d logs --tail 1000 "$new" >swap/new.log 2>&1
	[ "$new" = "$previous" ] || d rm -v "$new" >/dev/null
}

restore_ports() { restore_file ports "$ports_file"; }

# outage: how long nothing answered, in hundredths of a second.
outage() {
	if [ -e swap/stopped ]; then
		read -r stopped <swap/stopped
		[ "$ended" -ge "$stopped" ] && echo $((ended - stopped)) && return # not when it was before a reboot
	fi
	echo 0
}

# end OUTCOME: the result, whole or not there.
end() {
	say "$(date -u +%Y-%m-%dT%H:%M:%SZ) $1 $release" >>history
	printf '%s %s %s\n' "$1" "$(outage)" "$(printf '%s' "$why" | tr '\n' ' ')" >swap/result.part
	mv swap/result.part swap/result
}

echo $$ >swap/pid
why=
ended=$(now)
mkdir -p swap/saved
case $1 in
go)
	if [ -n "$ports_file" ]; then
		save_file ports "$ports_file" || why="$ports_file could not be read"
	fi
	if [ -z "$why" ] && begin; then
		finish
		end "$verb"
	else
		back
		end "failed-$state"
	fi
	;;
mend)
	if [ -e swap/committed ]; then
		finish
		end "$verb"
	else
		why="it was cut off"
		back
		end "failed-$state"
	fi
	;;
esac
