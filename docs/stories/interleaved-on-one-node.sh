#!/bin/sh
# An area that is interleaved over all nodes, and lies on one: what
# docs/stories/interleaved-on-one-node.md describes. It fills and empties pools of huge pages, and
# takes root and a machine with several nodes.
set -eu
pool=hugepages/hugepages-2048kB/nr_hugepages
nodes=/sys/devices/system/node
holder=
clean_up() {
	[ -z "$holder" ] || kill "$holder" 2>/dev/null || true
	wait 2>/dev/null || true
	for node in "$nodes"/node[0-9]*; do
		echo 0 >"$node/$pool"
	done
}
trap clean_up EXIT

# Says what is run, and runs it; that it finds something broken is a part of the story.
run() {
	printf '$ %s\n' "$*"
	"$@" || printf '(exit status %s)\n' "$?"
}

# Whoever set this machine up filled the pool of one node.
echo 8 >"$nodes/node0/$pool"
areas create --name table --size 16M --huge 2M --policy interleave --populate --quiet >/dev/null &
holder=$!
areas wait table --timeout 60 --quiet >/dev/null

run areas show table
run areas doctor table
# Each line that it names, in turn: pools first, then the move.
areas doctor table --json | sed -n 's/^ *"text": "\(\(echo\|areas\) .*\)"$/\1/p' >/tmp/areas-story-$$
while read -r line; do
	run sh -c "$line"
done </tmp/areas-story-$$
rm -f /tmp/areas-story-$$
run areas doctor table
