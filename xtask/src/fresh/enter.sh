# The first process of the namespaces that `cargo xtask fresh` makes (sh; also their reaper): mounts
# what a running system has below the new root, makes it the root, and runs one command there. The
# mounts are seen by no other process, and end with it. enter.sh WAY ROOT TOOLCHAIN PLACE FOLDER
# COMMAND…
set -eu
way=$1 root=$2 toolchain=$3 place=$4 folder=$5
shift 5
# A root is a mount; a folder that is just changed into is none, which is what --chroot is about.
[ "$way" = chroot ] || mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount --bind "$toolchain" "$place"
mount -o remount,bind,ro "$place"
# A shell in between, so that orphans have a parent that waits for them.
if [ "$way" = chroot ]; then
    exec chroot . sh -c 'cd "$0" && "$@"; exit $?' "$folder" "$@"
fi
pivot_root . mnt
exec chroot . sh -c 'umount -l /mnt && cd "$0" && "$@"; exit $?' "$folder" "$@"
