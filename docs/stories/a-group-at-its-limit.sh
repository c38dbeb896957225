#!/bin/sh
# An area that is slow, because the container that holds it is at its memory limit: what
# docs/stories/a-group-at-its-limit.md describes. A control group of either version stands for the
# container; root makes it.
set -eu
name=areas-story-$$
rest=/dev/shm/$name
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
	group=/sys/fs/cgroup/$name
	limit=memory.high
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
else
	group=/sys/fs/cgroup/memory/$name
	limit=memory.limit_in_bytes
fi
mkdir "$group"
holder=
clean_up() {
	[ -z "$holder" ] || kill "$holder" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -f "$rest"
	# What ends is in the group for a moment more.
	for _ in 1 2 3 4 5 6 7 8 9; do
		rmdir "$group" 2>/dev/null && return
		sleep 0.2
	done
}
trap clean_up EXIT
echo 128M >"$group/$limit"

# Says what is run, and runs it; that it finds something broken is a part of the story.
run() {
	printf '$ %s\n' "$*"
	"$@" || printf '(exit status %s)\n' "$?"
}
# Becomes a program in the container.
inside='echo $$ >"$0/cgroup.procs" && exec "$@"'

sh -c "$inside" "$group" areas create --name cache --size 120M --populate --quiet >"$rest" &
holder=$!
areas wait cache --timeout 60 --quiet >/dev/null
# What else the container's programs have.
sh -c "$inside" "$group" dd if=/dev/zero of="$rest" bs=1M count=3 2>/dev/null
if [ "$limit" = memory.high ]; then
	# A little more, and the kernel makes it wait.
	sh -c "$inside" "$group" dd if=/dev/zero of="$rest" bs=1M count=6 seek=3 conv=notrunc 2>/dev/null
fi

run areas show cache
run areas doctor cache
line=$(areas doctor cache --json | sed -n 's/^ *"text": "\(echo .*\)"$/\1/p' | head -n 1)
run sh -c "$line"
run areas doctor cache
