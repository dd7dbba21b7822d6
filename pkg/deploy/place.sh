# shellcheck shell=sh disable=SC2016,SC2030,SC2031,SC2034,SC2154
# Saves, puts and restores the files of a deployment. POSIX sh, Linux; swap.sh reads it.
#
# A container may write in the folder of a place: at any moment its root replaces what is there by a link, a pipe or a
# folder. So:
#   - everything is done inside the folder, which no container can replace (the sender has judged its real path);
#   - a file is read through a descriptor, after the kernel has said that it is the file of that name (see read_file);
#   - a file is written under a name that cannot be guessed, by link(2), or by tar, which creates it with O_EXCL, and gets
#     its name by rename(2): neither opens or follows what is there;
#   - what is no regular file is not read: it is kept aside by rename(2).

base=$(pwd -P)
copy_limit=120       # seconds for copying one file
size_limit=2097152   # 1 GiB, in the units of ulimit -f

# warn TEXT...: tell it, also in the report of the promotion.
warn() {
	say "$*"
	printf '%s\n' "$*" >>"$base/swap/warnings"
}

# inside PLACE COMMAND ARGUMENT...: run the command in the folder of the place, where the place is ./$entry.
inside() (
	place=$1
	dir=${1%/*}
	dir=${dir:-/}
	entry=${1##*/}
	beside=.$entry.$name-next-$random
	aside=.$entry.$name-aside-$random
	shift
	cd -P -- "$dir" || return
	[ "$(pwd -P)" = "$dir" ] || { say "$dir leads elsewhere now: $(pwd -P)"; return 1; }
	"$@"
)

# there ENTRY: report whether it exists, as whatever. plain ENTRY: report whether it is a regular file, and no link.
there() { [ -e "./$1" ] || [ -L "./$1" ]; }
plain() { [ ! -L "./$1" ] && [ -f "./$1" ]; }

# read_file NAME COPY: copy ./NAME. Status 3: it is no regular file. The link that the kernel has for a descriptor names
# what was opened: if ./NAME was a link, the name differs. cp opens that same file again, whatever ./NAME is by then.
read_file='
ulimit -f "$3" 2>/dev/null
exec 3<"./$1" || exit
dir=$(pwd -P)
[ -f /proc/self/fd/3 ] && [ "$(readlink /proc/self/fd/3)" = "${dir%/}/$1" ] || exit 3
exec cp -pL /proc/self/fd/3 "$2"'

# copy_entry COPY: copy ./$entry. It fails with status 3 if that is no regular file, and else with $words.
copy_entry() {
	plain "$entry" || return 3
	words=$(timeout -k 5 "$copy_limit" sh -c "$read_file" sh "$entry" "$1" "$size_limit" 2>&1)
	status=$?
	case $status in
	0 | 3) ;;
	124 | 137 | 143) # killed: a pipe that was put there keeps the open waiting
		[ -e "$1" ] || return 3
		words="it cannot be copied within ${copy_limit}s"
		;;
	153) words="it has more than $((size_limit / 2048)) MiB" ;; # SIGXFSZ
	esac
	return "$status"
}

# save COPY: copy ./$entry, or note that it is not there (COPY.none), or to be kept aside (COPY.aside too). A copy gets its
# name when it is complete.
save() {
	if there "$entry"; then
		rm -f "$1.part"
		copy_entry "$1.part"
		case $? in
		0) mv "$1.part" "$1"; return ;;
		3) ;;
		*) say "$place: $words" | head -n 1; return 1 ;;
		esac
		printf '' >"$1.aside" || return
	fi
	printf '' >"$1.none"
}

# save_file NUMBER PLACE: save what is in the place, unless that was done.
save_file() {
	[ -e "swap/saved/$1" ] || [ -e "swap/saved/$1.none" ] || inside "$2" save "$base/swap/saved/$1"
}

# move_aside: keep ./$entry aside, unless that was done.
move_aside() {
	there "$aside" || ! there "$entry" || mv -T -f "./$entry" "./$aside" || return
	warn "$place was no regular file: it was not read, and is kept as $aside beside it"
}

# unpack FILE: copy the file to ./$beside. tar creates it with O_EXCL. It sets no owner, mode or time afterwards, because
# some do that by name; chown -h follows no link.
unpack() {
	rm -rf "$base/swap/out" && mkdir "$base/swap/out" || return
	ln "$1" "$base/swap/out/$beside" 2>/dev/null || cp -p "$1" "$base/swap/out/$beside" || return
	tar -C "$base/swap/out" -cf - "./$beside" | (umask 0 && timeout -k 5 "$copy_limit" tar -xomf - --no-same-permissions) || return
	chown -h "$(stat -c %u:%g "$1")" "./$beside" 2>/dev/null || :
}

# put FILE: put the file in the place in one step. A link needs no room on a full disk.
put() {
	# shellcheck disable=SC3013 # dash, bash and busybox have -ef
	if plain "$entry" && [ "$1" -ef "./$entry" ]; then return; fi # it was done before
	rm -f "./$beside"
	ln -T "$1" "./$beside" 2>/dev/null || unpack "$1" || return
	mv -T -f "./$beside" "./$entry" 2>/dev/null || { make_room && mv -T -f "./$beside" "./$entry"; }
}

# make_room: remove ./$entry. A folder is kept aside.
make_room() { rm -f "./$entry" 2>/dev/null || mv -T "./$entry" "./$aside-2"; }

# put_over NUMBER PLACE FILE: put the file in the place, of which the old file was saved under the number.
put_over() {
	[ ! -e "swap/saved/$1.aside" ] || inside "$2" move_aside || return
	inside "$2" put "$base/$3"
}

# put_file NUMBER PLACE: put a file of the new version in its place; .none means that the version has no such file.
put_file() {
	if [ ! -e "swap/files/$1.none" ]; then
		put_over "$1" "$2" "swap/files/$1"
	elif [ -e "swap/saved/$1.aside" ]; then
		inside "$2" move_aside
	else
		inside "$2" make_room
	fi
}

# remove_new: remove ./$entry, and put back what was kept aside for it. A rename reads nothing through it. If the swap had
# not come to the place, what is there stays.
remove_new() {
	if [ ! -e "$1.aside" ]; then
		make_room
	elif there "$aside"; then
		make_room && mv -T -f "./$aside" "./$entry"
	elif plain "$entry"; then
		rm -f "./$entry"
	fi
}

# remove_beside: remove what a swap that was cut off left.
remove_beside() { rm -f "./$beside"; }

# restore_file NUMBER PLACE: put a file of the old version back. A failure sets $lost, so that the others follow all the same.
restore_file() {
	inside "$2" remove_beside
	if [ -e "$saved/$1" ]; then
		inside "$2" put "$base/$saved/$1" || lost=1
	elif [ -e "$saved/$1.none" ]; then
		inside "$2" remove_new "$base/$saved/$1" || lost=1
	fi
}
