#!/usr/bin/env bash
# A machine whose shared memory is full, because a Python was killed with all its helpers: what
# docs/stories/leaked-python-segment.md describes. In a mount namespace of its own, with a /dev/shm
# of 64 MiB, so that no other program is in want: root, or `unshare --map-root-user`.
set -eu
if [ "${1:-}" != inside ]; then
	exec unshare --mount -- "$0" inside
fi
mount -t tmpfs -o size=64m,mode=1777 tmpfs /dev/shm

# Says what is run, and runs it; that it fails is a part of the story.
run() {
	printf '$ %s\n' "$*"
	"$@" || printf '(exit status %s)\n' "$?"
}

WORKER='
from multiprocessing import shared_memory
import sys, time
memory = shared_memory.SharedMemory(create=True, size=48 << 20)
memory.buf[:] = bytes(48 << 20)
print("a worker has its 48 MiB", flush=True)
time.sleep(float(sys.argv[1]))
memory.close()
memory.unlink()
'
worker() { python3 -c "$WORKER" "$1"; }

# The out-of-memory killer, or a supervisor, ends a worker and its resource tracker, which would
# have removed the memory.
coproc PYTHON { exec setsid python3 -c "$WORKER" 1000; }
group=$PYTHON_PID
read -r line <&"${PYTHON[0]}"
printf '%s\n' "$line"
printf '$ kill -9 %s\n' "-$group"
kill -9 -- "-$group"
wait "$group" 2>/dev/null || true

run worker 0
# This one has its resource tracker, which removes its memory a moment later.
while [ "$(find /dev/shm -name 'psm_*' | wc -l)" -gt 1 ]; do sleep 0.05; done
run df --output=size,used,pcent /dev/shm
run areas scan --leaked --kind python
name=$(areas scan --leaked --kind python --quiet | cut -d ' ' -f 2)
run areas reap python "$name"
run areas reap python "$name" --yes
run areas scan --leaked --kind python
run worker 0
