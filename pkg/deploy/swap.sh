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

# move FILE PLACE: the file takes the place, in one moment. A link needs no room on a full disk.
move() {
	target=$(real "$2")
	# shellcheck disable=SC3013 # a shell without -ef goes on, and so may others
	if [ "$1" -ef "$target" ] 2>/dev/null; then return; fi # it has been done before
	beside=${target%/*}/.${target##*/}.$name-next
	rm -f -- "$beside"
	ln -- "$1" "$beside" 2>/dev/null || cp -p -- "$1" "$beside" || return
	mv -f -- "$beside" "$target"
}

# put_file: a file that a version had not, as .none says, goes.
put_file() {
	if [ -e "swap/files/$1.none" ]; then
		rm -f -- "$(real "$2")"
	else
		move "swap/files/$1" "$2"
	fi
}

# restore_file: one that cannot go back does not keep the others from it.
restore_file() {
	target=$(real "$2")
	rm -f -- "${target%/*}/.${target##*/}.$name-next"
	if [ -e "swap/saved/$1" ]; then
		move "swap/saved/$1" "$2" || lost=1
	elif [ -e "swap/saved/$1.none" ]; then
		rm -f -- "$target" || lost=1
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

# outlast: the engine starts the old version again, should the machine lose its power while none runs.
outlast() {
	policy=$(d inspect --type container -f '{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}' "$old") || return 0
	policy=${policy%:0}
	[ -e swap/old_restart ] || printf '%s\n' "${policy:-no}" >swap/old_restart
	d update --restart always "$old" >/dev/null
}

# begin: everything up to the moment from which there is no way back. $why says why that was not reached.
begin() {
	say "moving the files into place"
	if ! each_file save_file || ! each_file put_file; then
		why="the files could not be moved into place"
		return 1
	fi
	if [ "$mode" = replace ] && [ -n "$old" ] && is "$old" Running; then
		outlast
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

stop_old() {
	[ -n "$old" ] && is "$old" Running || return 0
	limit=$((grace + 60))
	d stop -t "$grace" "$old" >/dev/null
	limit=120
}

# finish: what follows that moment.
finish() {
	: >swap/committed
	d update --restart "$restart" "$new" >/dev/null # it was not to start by itself until now
	# always would start the old one again with the engine, beside the new one
	[ -z "$old" ] || d update --restart no "$old" >/dev/null
	[ "$mode" = handover ] || stop_old # it runs only after a power cut, and has the ports
	is "$new" Running || d start "$new" >/dev/null
	if [ "$mode" = handover ] && [ -n "$old" ] && is "$old" Running; then
		[ "$drain" = 0 ] || say "the old version has ${drain}s to end what it does"
		sleep "$drain" 2>/dev/null || sleep 2
		stop_old
	fi
	if [ -n "$previous" ] && [ "$previous" != "$new" ] && [ -n "$old" ]; then
		d rm -v "$previous" >/dev/null 2>&1
	fi
	if [ -n "$old" ]; then
		[ "$(named "$old")" != "/$name" ] || d rename "$old" "$name-outgoing"
	fi
	[ "$(named "$new")" = "/$name" ] || d rename "$new" "$name"
	[ -z "$old" ] || [ "$(named "$old")" = "/$name-previous" ] || d rename "$old" "$name-previous"
	# the files of the version before are those that were found, for going back
	mkdir -p "releases/$old_release"
	rm -rf "releases/$old_release/files"
	if ! cp -Rp swap/saved "releases/$old_release/files" || ! cp swap/places "releases/$old_release/places"; then
		say "the files of the version before could not be kept for going back"
	fi
}

# back: everything as it was, the old version first. $state says what could not be made so.
back() {
	state=back
	say "$why; going back"
	limit=30
	d stop -t 1 "$new" >/dev/null 2>&1
	limit=120
	lost=
	each_file restore_file
	[ -z "$ports_file" ] || restore_file ports "$ports_file"
	if [ -n "$lost" ]; then
		state=files
		why="$why; the files of the old version could not be put back"
	fi
	if [ -z "$old" ]; then
		[ "$state" = files ] || state=none
	elif [ "$old_running" = 1 ]; then
		resume || say "the old version does not answer: $why"
	fi
	ended=$(now)
	[ -e swap/new.log ] || d logs --tail 1000 "$new" >swap/new.log 2>&1
	[ "$new" = "$previous" ] || [ -z "$(named "$new")" ] || d rm -v "$new" >/dev/null
}

# resume: the old version runs again, and answers.
resume() {
	answers=1
	if [ -n "$mending" ] && [ -e swap/stopped ] && [ -s swap/places ] && is "$old" Running; then
		# the engine started it after a power cut, when the new files were in their places
		limit=$((grace + 60))
		d restart -t "$grace" "$old" >/dev/null || answers=
		limit=120
	elif ! is "$old" Running; then
		d start "$old" >/dev/null || answers=
	fi
	check_url=$old_url
	reason=$why
	healthy "$old" || answers=
	[ ! -e swap/old_restart ] || d update --restart "$(cat swap/old_restart)" "$old" >/dev/null
	if [ -n "$answers" ]; then
		why=$reason
		say "the old version answers"
		return
	fi
	why="$reason; the old version: $why"
	[ "$state" = files ] || state=down
	return 1
}

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
mending=
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
	mending=1
	sleep 2 # a command of the script before may outlive it: what it does comes to its end
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
