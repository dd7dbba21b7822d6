# shellcheck shell=sh disable=SC1091,SC2034,SC2154
# Replaces the container of a deployment by another one, on the production machine. POSIX sh.
#
# It needs nobody: the machine that sent it may die, or the connection break, while it runs. Its folder holds the plan
# (what to do, as variables), place.sh, and the files. Every part of it can be repeated. If it is cut off itself, for instance by
# a power cut, "mend" recovers: it finishes what was committed and undoes what was not. The script ends with the file
# result: one line. "mend" and the names of the state's files stay: an older version may have begun the swap.
#
#   sh STATE/swap/swap.sh go      STATE is the folder of the deployment's state; descriptor 9 holds its lock
#   sh STATE/swap/swap.sh mend    the same, after a swap that was cut off
set -u
umask 077
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY CDPATH
cd "${0%/*}/.." || exit 2
recovering=
[ "$1" != mend ] || recovering=1
# The pid is for followScript. Descriptor 8 is inherited by every command, so the lock on busy waits for what an earlier
# script left running: only one is at work. A swap that has a result, or that is being recovered, is not begun.
echo $$ >swap/pid.part && mv swap/pid.part swap/pid || exit
exec 8>>busy && flock -w 600 8 || exit
[ -e swap/plan ] && [ ! -s swap/result ] || exit
if [ -n "$recovering" ]; then
	printf '' >swap/mending || exit
elif [ -e swap/mending ]; then
	exit
fi
. swap/plan
. swap/place.sh

newline='
'

say() { printf '%s\n' "$*"; }

# d ARGUMENT...: the docker client within $limit seconds; by itself it waits for an engine for ever.
limit=120
d() { timeout -k 10 "$limit" docker "$@"; }

# now: the time since boot in hundredths of a second; unlike the date, nobody sets it.
now() {
	read -r uptime _ </proc/uptime
	echo "${uptime%.*}${uptime#*.}"
}

# must ARGUMENT...: repeat d until it succeeds, for about ten seconds: the engine may be starting, a port not free yet.
must() {
	tries=0
	until words=$(d "$@" 2>&1); do
		tries=$((tries + 1))
		[ "$tries" -lt 10 ] || { say "docker $1: $(printf '%s' "$words" | tail -n 1)"; return 1; }
		sleep 1
	done
}

# settle: make what was written outlive a power cut.
settle() { timeout -k 1 30 sync || :; }

# is CONTAINER FLAG: report whether a flag of its state is set, e.g. Running.
is() { [ "$(d inspect --type container -f "{{.State.$2}}" "$1" 2>/dev/null)" = true ]; }

# named CONTAINER: print /NAME.
named() { d inspect --type container -f '{{.Name}}' "$1" 2>/dev/null; }

# each_file COMMAND: call the command with the number and the place of each file.
each_file() {
	number=0
	while IFS= read -r place; do
		number=$((number + 1))
		"$1" "$number" "$place" || return
	done <swap/places
}

# attempt CONTAINER: do the health check once, and print why it fails.
attempt() {
	if [ -n "$check_url" ]; then
		if command -v curl >/dev/null; then
			curl -fsS -m 5 -o /dev/null -- "$check_url" 2>&1
		else
			timeout -k 1 6 wget -q -T 5 -O /dev/null "$check_url" 2>&1 || { status=$?; echo "wget: exit status $status"; return 1; }
		fi
	elif [ -n "$check_command" ]; then
		eval "timeout -k 1 10 docker exec $1 $check_command" 2>&1 || { status=$?; echo "exit status $status"; return 1; }
	else # without a check, all that can be known is that the container keeps running
		sleep 3
		is "$1" Running
	fi
}

# healthy CONTAINER: wait until it passes its health check. If it does not in time, set $why and fail.
healthy() {
	since=$(now)
	while :; do
		words=$({ attempt "$1"; printf '\n%d' $?; } | tail -c 4096) # a container may print for ever
		status=${words##*"$newline"} words=${words%"$newline"*}
		if [ "$status" = 0 ] && is "$1" Running; then return 0; fi
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

# outlast: make the engine start the old version again if the power fails while neither version runs.
outlast() {
	if [ ! -e swap/old_restart ]; then
		policy=$(d inspect --type container -f '{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}' "$old") || return
		policy=${policy%:0}
		printf '%s\n' "${policy:-no}" >swap/old_restart.part && mv swap/old_restart.part swap/old_restart || return
	fi
	d update --restart always "$old" >/dev/null
}

# stop CONTAINER: stop it within its grace period.
stop() {
	limit=$((grace + 60))
	words=$(d stop -t "$grace" "$1" 2>&1)
	set -- $?
	limit=120
	return "$1"
}

# names CONTAINER [PREVIOUS]: give them the names NAME and NAME-previous.
names() {
	if [ -n "${2:-}" ] && [ "$(named "$2")" = "/$name" ]; then must rename "$2" "$name-outgoing" || return; fi
	[ "$(named "$1")" = "/$name" ] || must rename "$1" "$name" || return
	[ -z "${2:-}" ] || [ "$(named "$2")" = "/$name-previous" ] || must rename "$2" "$name-previous"
}

# begin: do everything up to the commitment. If that is not reached, set $why and fail.
begin() {
	say "moving the files into place"
	if ! each_file save_file || ! settle || ! each_file put_file; then
		why="the files could not be moved into place"
		return 1
	fi
	if [ "$mode" = replace ] && [ -n "$old" ] && is "$old" Running; then
		outlast || say "the engine would not start the old version after a power cut: its restart policy could not be set"
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
		# once the proxy knows its ports, it must start with the engine
		[ "$mode" = replace ] || d update --restart "$restart" "$new" >/dev/null || { why="its restart policy could not be set"; return 1; }
		put_over ports "$ports_file" swap/ports || { why="$ports_file could not be written"; return 1; }
	fi
}

# finish: commit, and complete the exchange. If it fails, the swap has no result and has to be recovered; $ill is set if the
# new version no longer answers.
finish() {
	ill=
	printf '' >swap/committed || return
	settle
	must update --restart "$restart" "$new" || return # until now it did not start by itself
	if [ -n "$old" ]; then
		# its policy "always" would start it with the engine, beside the new version
		must update --restart no "$old" || return
		if [ "$mode" = handover ] && is "$old" Running; then
			[ "$drain" = 0 ] || say "the old version has ${drain}s to finish its work"
			sleep "$drain" 2>/dev/null || sleep 2
		fi
		stop "$old" || stop "$old" || return # in mode replace it runs here only after a power cut, and has the ports
	fi
	must start "$new" || ill=1
	if [ -n "$recovering" ] && [ -z "$ill" ]; then healthy "$new" || ill=1; fi
	[ -z "$ill" ] || return
	if [ -n "$old" ] && [ -n "$previous" ] && [ "$previous" != "$new" ] && [ -n "$(named "$previous")" ]; then
		must rm -fv "$previous" || return
	fi
	names "$new" "$old" || return
	# the files that were found belong to the old version, and are kept for rolling back
	if [ -d swap/saved ]; then
		mkdir -p "releases/$old_release" && cp swap/places "releases/$old_release/places" || return
		rm -rf "releases/$old_release/files"
		printf '' >swap/kept || return
		mv swap/saved "releases/$old_release/files" || return
	fi
}

# undo: undo everything, the old version first. It sets $state to what could not be undone.
undo() {
	state=back
	say "$why; undoing the exchange"
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
		say "the files of the old version could not be put back"
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

# resume: start the old version again, and wait until it answers.
resume() {
	answers=1
	if [ -e swap/stopped ] && is "$old" Running; then
		# the order to stop it may still be under way, or the engine started it on the new files after a power cut
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

# boot: print an ID that is new each time the machine starts.
boot() { cat /proc/sys/kernel/random/boot_id; }

# outage: print how long nothing answered, in hundredths of a second.
outage() {
	if [ -e swap/stopped ]; then
		read -r stopped booted <swap/stopped
		# the clock starts again when the machine does
		[ "$booted" = "$(boot)" ] && [ "$ended" -ge "$stopped" ] && echo $((ended - stopped)) && return
	fi
	echo 0
}

# end OUTCOME: write the history and the result, in one step.
end() {
	settle
	say "$(date -u +%Y-%m-%dT%H:%M:%SZ) $1 $release" >>history
	printf '%s %s %s\n' "$1" "$(outage)" "$(printf '%s' "$why" | tr '\n' ' ')" >swap/result.part && mv swap/result.part swap/result
}

why=
ended=$(now)
if [ -n "$recovering" ]; then
	if [ ! -e swap/committed ]; then
		why="the exchange was cut off"
	elif finish; then
		end "$verb"
		exit
	elif [ -n "$ill" ]; then
		why="it stopped working after the exchange was cut off: ${why:-$words}"
	else
		exit
	fi
	undo
	end "failed-$state"
	exit
fi
mkdir -p swap/saved
[ -z "$ports_file" ] || save_file ports "$ports_file" || why="$ports_file could not be read"
if [ -z "$why" ] && begin; then
	finish && end "$verb"
else
	undo
	end "failed-$state"
fi
