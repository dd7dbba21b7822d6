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
mending=
[ "$1" != mend ] || mending=1
# The pid is for who follows. Then what the script before left running is waited for, which has this descriptor too: only
# one is at work. What has an end, or is being mended, is not begun.
echo $$ >swap/pid.part && mv swap/pid.part swap/pid || exit
exec 8>>busy && flock -w 600 8 || exit
[ -e swap/plan ] && [ ! -s swap/result ] || exit
if [ -n "$mending" ]; then
	printf '' >swap/mending || exit
elif [ -e swap/mending ]; then
	exit
fi
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

# must ARGUMENT...: d, until it succeeds, for a while: an engine may be starting, a port not yet free. It says why not.
must() {
	tries=0
	until words=$(d "$@" 2>&1); do
		tries=$((tries + 1))
		[ "$tries" -lt 10 ] || { say "docker $1: $(printf '%s' "$words" | tail -n 1)"; return 1; }
		sleep 1
	done
}

# settle: what was written outlives a power cut.
settle() { timeout -k 1 30 sync || :; }

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
		printf '' >"swap/saved/$1.none"
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
	if [ -e "$saved/$1" ]; then
		move "$saved/$1" "$2" || lost=1
	elif [ -e "$saved/$1.none" ]; then
		rm -f -- "$target" || lost=1
	fi
}

# attempt CONTAINER: the health check once; its words are for the case that it is the last.
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
	if [ ! -e swap/old_restart ]; then
		policy=$(d inspect --type container -f '{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}' "$old") || return
		policy=${policy%:0}
		printf '%s\n' "${policy:-no}" >swap/old_restart.part && mv swap/old_restart.part swap/old_restart || return
	fi
	d update --restart always "$old" >/dev/null
}

# stop CONTAINER: within its grace.
stop() {
	limit=$((grace + 60))
	words=$(d stop -t "$grace" "$1" 2>&1)
	set -- $?
	limit=120
	return "$1"
}

# names RUNS [BEFORE]: they are called NAME and NAME-previous.
names() {
	if [ -n "${2:-}" ] && [ "$(named "$2")" = "/$name" ]; then must rename "$2" "$name-outgoing" || return; fi
	[ "$(named "$1")" = "/$name" ] || must rename "$1" "$name" || return
	[ -z "${2:-}" ] || [ "$(named "$2")" = "/$name-previous" ] || must rename "$2" "$name-previous"
}

# begin: everything up to the moment from which there is no way back. $why says why that was not reached.
begin() {
	say "moving the files into place"
	if ! each_file save_file || ! settle || ! each_file put_file; then
		why="the files could not be moved into place"
		return 1
	fi
	if [ "$mode" = replace ] && [ -n "$old" ] && is "$old" Running; then
		outlast || say "the engine will not start the old version after a power cut"
		say "stopping the old version"
		printf '%s %s\n' "$(now)" "$(boot)" >swap/stopped
		stop "$old" || { why="the old version could not be stopped: $words"; return 1; }
	fi
	say "starting the new version"
	words=$(d start "$new" 2>&1) || { why="it could not be started: $(printf '%s' "$words" | head -n 1)"; return 1; }
	healthy "$new" || return 1
	ended=$(now)
	say "the new version answers"
	if [ -n "$ports_file" ]; then
		# from then on it is the one that must come up with the engine
		[ "$mode" = replace ] || d update --restart "$restart" "$new" >/dev/null || { why="its restart policy could not be set"; return 1; }
		move swap/ports "$ports_file" || { why="$ports_file could not be written"; return 1; }
	fi
}

# finish: what follows that moment. It can be repeated. Where it fails it has no end: the next one mends it. With $ill the
# new version does not answer any more.
finish() {
	ill=
	printf '' >swap/committed || return
	settle
	must update --restart "$restart" "$new" || return # it was not to start by itself until now
	if [ -n "$old" ]; then
		# always would start it with the engine, beside the new one
		must update --restart no "$old" || return
		if [ "$mode" = handover ] && is "$old" Running; then
			[ "$drain" = 0 ] || say "the old version has ${drain}s to end what it does"
			sleep "$drain" 2>/dev/null || sleep 2
		fi
		stop "$old" || stop "$old" || return # in its place it runs only after a power cut, and has the ports
	fi
	must start "$new" || ill=1
	if [ -n "$mending" ] && [ -z "$ill" ]; then healthy "$new" || ill=1; fi
	[ -z "$ill" ] || return
	if [ -n "$old" ] && [ -n "$previous" ] && [ "$previous" != "$new" ] && [ -n "$(named "$previous")" ]; then
		must rm -fv "$previous" || return
	fi
	names "$new" "$old" || return
	# the files of the version before are those that were found, for going back
	if [ -d swap/saved ]; then
		mkdir -p "releases/$old_release" && cp swap/places "releases/$old_release/places" || return
		rm -rf "releases/$old_release/files"
		printf '' >swap/kept || return
		mv swap/saved "releases/$old_release/files" || return
	fi
}

# back: everything as it was, the old version first. $state says what could not be made so.
back() {
	state=back
	say "$why; going back"
	[ "$new" != "$previous" ] || d update --restart no "$new" >/dev/null
	limit=30
	d stop -t 1 "$new" >/dev/null 2>&1
	limit=120
	lost=
	saved=swap/saved
	[ -d swap/saved ] || [ ! -e swap/kept ] || saved=releases/$old_release/files
	each_file restore_file
	[ -z "$ports_file" ] || restore_file ports "$ports_file"
	if [ -n "$lost" ]; then
		state=files
		why="$why; the files of the old version could not be put back"
	fi
	if [ -z "$old" ]; then
		[ "$state" = files ] || state=none
	elif [ "$old_running" = 1 ] || [ -e swap/stopped ]; then
		resume || say "the old version does not answer: $why"
	else
		[ "$state" = files ] || state=stopped
	fi
	ended=$(now)
	[ -e swap/new.log ] || d logs --tail 1000 "$new" 2>&1 | tail -c 262144 >swap/new.log
	rm -f swap/committed
	if [ "$new" = "$previous" ]; then
		[ -z "$old" ] || names "$old" "$new"
	else
		[ -z "$(named "$new")" ] || d rm -fv "$new" >/dev/null
		[ -z "$old" ] || names "$old"
	fi
}

# resume: the old version runs again, and answers.
resume() {
	answers=1
	if [ -e swap/stopped ] && is "$old" Running; then
		# an order to stop it may still be carried out; or the engine started it after a power cut, on the new files
		stop "$old"
	fi
	must start "$old" || answers=
	check_url=$old_url
	check_command=$old_command
	reason=$why
	[ -z "$answers" ] || healthy "$old" || answers=
	if [ -n "$answers" ]; then
		[ ! -e swap/old_restart ] || d update --restart "$(cat swap/old_restart)" "$old" >/dev/null
		why=$reason
		say "the old version answers"
		return
	fi
	[ "$why" = "$reason" ] || why="$reason; the old version: $why"
	[ "$state" = files ] || state=down
	return 1
}

# boot tells one start of the machine from another.
boot() { cat /proc/sys/kernel/random/boot_id; }

# outage: how long nothing answered, in hundredths of a second.
outage() {
	if [ -e swap/stopped ]; then
		read -r stopped booted <swap/stopped
		# not when it was before a reboot
		[ "$booted" = "$(boot)" ] && [ "$ended" -ge "$stopped" ] && echo $((ended - stopped)) && return
	fi
	echo 0
}

# end OUTCOME: the result, whole or not there.
end() {
	settle
	say "$(date -u +%Y-%m-%dT%H:%M:%SZ) $1 $release" >>history
	printf '%s %s %s\n' "$1" "$(outage)" "$(printf '%s' "$why" | tr '\n' ' ')" >swap/result.part && mv swap/result.part swap/result
}

why=
ended=$(now)
if [ -n "$mending" ]; then
	if [ ! -e swap/committed ]; then
		why="it was cut off"
	elif finish; then
		end "$verb"
		exit
	elif [ -n "$ill" ]; then
		why="after it was cut off it does not work any more: ${why:-$words}"
	else
		exit
	fi
	back
	end "failed-$state"
	exit
fi
mkdir -p swap/saved
[ -z "$ports_file" ] || save_file ports "$ports_file" || why="$ports_file could not be read"
if [ -z "$why" ] && begin; then
	finish && end "$verb"
else
	back
	end "failed-$state"
fi
