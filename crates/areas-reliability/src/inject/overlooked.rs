//! Calls whose failure need not be reported: each with the reason. Where one of them fails, the
//! operation's result is checked as after a run without a fault.

use libc::*;

/// A failure that may be overlooked, or made good.
#[derive(Debug)]
pub(crate) struct Rule {
    /// None named: all.
    pub(crate) calls: &'static [&'static str],
    /// Words of which one is in the path that the call names, or in that of the descriptor that it
    /// is about.
    pub(crate) about: &'static [&'static str],
    pub(crate) operations: &'static [&'static str],
    pub(crate) errnos: &'static [i32],
    /// Whether something is held longer than it should be then.
    pub(crate) leaves: bool,
    /// Whether something is missing then that is not needed.
    pub(crate) lacks: bool,
    /// Whether it is an answer: what follows from it is right, and wrong only for who knows better.
    pub(crate) answers: bool,
    pub(crate) why: &'static str,
}

const fn rule(calls: &'static [&'static str], why: &'static str) -> Rule {
    Rule { calls, about: &[], operations: &[], errnos: &[], leaves: false, lacks: false, answers: false, why }
}

impl Rule {
    const fn only(self, errnos: &'static [i32]) -> Self {
        Rule { errnos, ..self }
    }

    const fn answering(self) -> Self {
        Rule { answers: true, ..self }
    }

    const fn leaving(self) -> Self {
        Rule { leaves: true, ..self }
    }

    const fn lacking(self) -> Self {
        Rule { lacks: true, ..self }
    }

    const fn about(self, about: &'static [&'static str]) -> Self {
        Rule { about, ..self }
    }

    const fn of(self, operations: &'static [&'static str]) -> Self {
        Rule { operations, ..self }
    }
}

const JOINING: &[&str] = &[
    "join-first",
    "join",
    "join-clearing",
    "join-without-area",
    "join-once",
    "publish-first",
    "keep",
    "clone-published",
    "publish-alone",
    "create-or-open",
    "fork",
];
const REGISTRY: &[&str] = &[
    "join-first",
    "join",
    "join-clearing",
    "join-without-area",
    "join-once",
    "publish-first",
    "keep",
    "reap",
    "publish",
    "fork",
    "find",
    "find-again",
    "list",
    "wait",
    "wait-in-vain",
    "clone-published",
    "publish-alone",
    "create-or-open",
    "resize-beyond",
    "resize-in-arena",
    "walk",
    "transfer-own",
    "transfer",
    "take-in",
    "cut",
    "offer",
    "give",
];
const LOOKING: &[&str] = &[
    "reap",
    "find",
    "find-again",
    "list",
    "wait",
    "wait-in-vain",
    "clone",
    "clone-read-only",
    "clone-published",
    "publish-alone",
    "create-or-open",
    "clone-locked",
    "clone-frozen",
    "clone-resizable",
    "clone-any",
    "resize-beyond",
    "resize-in-arena",
    "walk",
    "transfer",
    "move",
    "move-unprivileged",
    "offer",
    "give",
];
const POPULATING: &[&str] = &[
    "create-contiguous",
    "create-huge",
    "create-locked",
    "clone-locked",
    "freeze",
    "freeze-locked",
    "populate",
    "fill",
];

/// What moves another process's area.
const MOVING: &[&str] = &["move", "move-unprivileged"];

/// What makes resizable areas wherever they may lie.
const ROOMY: &[&str] = &["create-resizable", "clone-resizable"];

/// What a process opens on its way into the registry; a word with a `=` is the whole of it.
const FOLDERS: &[&str] = &["the registry", "pid-", "=teams", "=control", "=."];

pub(crate) static RULES: &[Rule] = &[
    rule(&["unlinkat"], "a transfer socket's name that stays: who joins next clears it away, as its maker is dead")
        .about(&["door-"])
        .of(&["join-once"])
        .leaving()
        .lacking(),
    rule(&[], "who only looks does not learn what kept it from joining: it is tried again, and looking works without")
        .of(&["join-once"])
        .lacking(),
    rule(&[], "interrupted by a signal: it is made again").only(&[EINTR]),
    rule(&["close"], "Linux has closed, whatever it says; there is nothing to be done about it"),
    rule(&["munmap"], "a dropped area's addresses stay taken where the kernel does not take them back: no caller is there to be \
                       notified (`Mapping::unmap` reports it)")
        .of(&["unpublish", "create-huge", "create-contiguous", "wait", "wait-in-vain", "transfer-own", "transfer", "move", "move-unprivileged"])
        .leaving(),
    rule(&["munmap"], "what was mapped to reserve pages stays mapped where the kernel does not take it back").of(&["grow-pool"]).leaving(),
    rule(&["mmap"], "an object that is not sealed, and that a process may be about to seal: it is tried again until that is decided")
        .only(&[EPERM]),
    // Room to grow. (What fails for want of descriptors or memory is asked for again by the next
    // area.)
    rule(&["openat", "read"], "where there is room to grow: unknown, so the kernel chooses the addresses, and the area grows as far as its reserve")
        .about(&["/maps"])
        .of(ROOMY),
    rule(&["mmap"], "whether the kernel gives what it shows as free: unknown, so it chooses the addresses")
        .about(&["=a page at an address"])
        .of(ROOMY),
    rule(&["munmap"], "the page by which that was tried stays taken where the kernel does not take it back: an area that would lie there is put elsewhere")
        .of(ROOMY),
    rule(&["mmap"], "addresses with room behind them: the kernel chooses others, and where it has none either, that is reported")
        .about(&["=an exact address"])
        .of(ROOMY),
    rule(&["mmap"], "the anchor below which areas' memory hangs: without it, the kernel chooses each time")
        .about(&["=a page of addresses", "=a page at an address"])
        .lacking(),
    rule(&["fcntl(F_GETFL)"], "whether the descriptor may write: `fallocate` reports it").of(&["grow-pool"]),
    rule(&["statx", "lseek"], "the standard library asks how long a text of the kernel's is before it reads it: a hint")
        .about(&["/proc/", "/sys/"]),
    // Transfer sockets. (Where an area cannot be offered at all, who offers it gets an error:
    // `transfer`.)
    rule(&["socket", "setsockopt", "bind"],
         "a team without a transfer socket: it can be given nothing, which is an error for who tries, and `registry::join` tries again")
        .of(JOINING)
        .lacking(),
    rule(&["ppoll"], "whether something came to the transfer socket: looked for, where that is not known").of(REGISTRY),
    rule(&["fstat"], "whether the parent's transfer socket is still where it was: a child that cannot find out leaves it open, and has a transfer socket of its own")
        .about(&["socket:"])
        .of(&["fork"])
        .leaving()
        .lacking(),
    rule(&["openat", "fstat"], "the same").about(&["door-", "socket:"]).of(JOINING).lacking(),
    rule(&["unlinkat"], "a transfer socket's name that stays: who joins next clears it away, as its maker is dead")
        .about(&["door-"])
        .of(JOINING)
        .leaving()
        .lacking(),
    rule(&["fstat"], "whether the folder is still open under its number, as a transfer socket is made: a team without a transfer socket, as above")
        .about(&["the registry"])
        .of(JOINING)
        .lacking(),
    rule(&["fstat"], "whether the transfer socket's number is still its own: who cannot find out takes nothing from it, and asks again at the next look")
        .about(&["socket:"])
        .of(REGISTRY)
        .answering(),
    rule(&["fcntl(F_GET_SEALS)"], "the answer that what came is no memory object: as no offer at all it is dropped, and the next one taken in")
        .about(&["/memfd:area:"])
        .of(&["take-in"])
        .lacking(),
    rule(&["mmap", "fcntl(F_GETFL)", "statx", "fstat", "fstatfs"], "what cannot be accepted behind the first that came stays in line")
        .of(&["take-in"]),
    rule(&["fstat"], "the answer that the program has closed our table's descriptor: reported as that")
        .only(&[EBADF])
        .about(&["areas table"])
        .of(REGISTRY),
    rule(&["recvmsg"], "the answer that nothing is there: it is waited for, and looked at again").only(&[EAGAIN]).of(&["receive", "take"]),
    rule(&["statx"], "whether the message that was taken is the one that was looked at: where that is not known, it is opened again, and the first is \
                     dropped")
        .of(&["receive", "take"]),
    rule(&["recvmsg"], "the answer that nothing was offered: asked again by the next look").of(REGISTRY).answering(),
    rule(&["fcntl(F_OFD_SETLK)"], "the answer that another reader of the slab has that place: the next one is taken")
        .only(&[EAGAIN])
        .of(&["slab-read"]),
    rule(&["fcntl(F_OFD_SETLK)"], "the answer that another owner has that number: another one is drawn")
        .only(&[EAGAIN])
        .of(&["lock", "sequence-lock"]),
    rule(&["munlock"], "the page by which an owner's mark is kept stays locked where the program locks all that it maps")
        .of(&["lock", "sequence-lock"]),
    rule(&["munmap"], "the mark of a writer that has ended stays where the kernel does not take it back: its word says that there is none")
        .of(&["sequence-lock"])
        .leaving(),
    rule(&["munlock"], "the page by which a slab's place is kept stays locked where the program locks all that it maps")
        .of(&["slab-make", "slab-read"]),
    rule(&["fcntl(F_OFD_SETLK)"], "the answer that another giver has claimed that id: the next one is").only(&[EAGAIN]).of(&["transfer"]),
    rule(&["fcntl(F_OFD_SETLK)"], "the answer that the id is not claimed by what came: the area gets another one")
        .of(&["take-in"]),
    rule(&["openat", "read", "newfstatat", "getdents64", "readlinkat"],
         "whether a team is dead that published nothing: what is not known to be stays, and is looked at by who joins next")
        .about(&["/proc/"])
        .of(&["join-first", "join", "join-clearing", "join-without-area", "publish-first", "keep", "clone-published", "publish-alone", "create-or-open", "fork", "take-in"]),
    rule(&["symlinkat"], "the slot went to another team: the next one is taken, and the area has an id of that")
        .only(&[EEXIST])
        .of(&["take-in"]),
    rule(&["unlinkat"], "the link that says that the team is empty: it leads to the same table, and goes as the other one does")
        .about(&[".empty"])
        .of(&["publish-first"]),
    // Names for one area alone.
    rule(&["fstat", "statx", "mmap"], "a team that may not be looked into neither finds what others hold nor is found: it has no part in who gets a name")
        .only(&[EBADF, EOVERFLOW, EACCES, ENOENT, ELOOP, ENOMEM])
        .of(&["publish-alone", "create-or-open"]),
    rule(&["munmap"], "addresses that the kernel does not take back: no caller is there to be notified")
        .of(&["publish-alone", "create-or-open"])
        .leaving(),
    // A mark in an object's file mode.
    rule(&["openat", "fcntl(F_OFD_SETLK)"], "the record lock under which a file mode is changed: without it two who change it in the same moment could undo each other's")
        .of(&["retire", "freeze", "freeze-locked", "close-to-others", "send", "offer", "of-descriptor"]),
    rule(&["fchmod"], "closing an area's file to other users, where the program asks for its descriptor: whoever gets that one can write by it anyway")
        .of(&["of-descriptor"]),
    // Areas that are offered at a socket.
    rule(&["openat", "read"], "the number that the kernel says of users who have none: where it cannot be read, it is asked whether all have one")
        .about(&["/overflowuid"])
        .of(&["offer", "give", "take"]),
    rule(&["bind"], "the answer that something has the name: it is looked at, is not there, and the name is tried again")
        .only(&[EADDRINUSE])
        .of(&["offer"]),
    rule(&["openat", "statx"], "one's own memory that cannot be opened through /proc is had by a copy of its descriptor")
        .only(&[EACCES, ENOENT])
        .about(&["/proc/thread-self/fd/", "/memfd:area:"])
        .of(&["offer", "give"]),
    rule(&["fstat"], "a connection on which an area went and that cannot be looked at is closed: what went stays with who connected")
        .about(&["socket:"])
        .of(&["give"]),
    rule(&["fstat"], "whether the folder's number is still ours, before it is closed: it is asked again")
        .about(&["/dev/shm/areas-reliability-"])
        .of(&["take"]),
    // The registry's folder.
    rule(&["fstatfs"], "whether the folder's size counts the teams in it: where that is not known, the time of any change of it says that some may have come")
        .about(&["/teams"]),
    rule(&["fstat", "fchmod"], "the folder's time of change, by which others are notified that a process waits or gives: they ask for it themselves once a second")
        .about(&["/teams"])
        .of(&["wait", "wait-in-vain", "transfer"]),
    rule(&["mkdirat", "openat"], "the folder may be removed while a process joins: all of it is tried again")
        .only(&[ENOENT])
        .about(FOLDERS)
        .of(JOINING),
    rule(&["symlinkat"], "the same").only(&[ENOENT]).of(JOINING),
    rule(&["openat"], "a folder that was just made is opened to set what a umask took: who opens it next sets it, or says why not")
        .only(&[EACCES])
        .about(&["the registry", "pid-", "=teams"])
        .of(JOINING),
    rule(&["openat"], "a control file that cannot be opened is looked at, as a umask may have taken its owner's rights; there is none yet, as if the folder had \
                       been removed: all of it is tried again")
        .only(&[EACCES])
        .about(&["=control"])
        .of(JOINING),
    rule(&["readlinkat", "mkdirat", "openat", "symlinkat"], "the folder was removed, and may be again on the way to the next one: it is tried again")
        .only(&[ENOENT])
        .of(&["keep"]),
    rule(&["symlinkat"], "the slot went to another team: the next one is taken").only(&[EEXIST]).of(JOINING),
    rule(&["flock"], "a process is removing the folder: all of it is tried again").only(&[EAGAIN]).of(JOINING),
    rule(&["fstat", "newfstatat"], "whether the folder was removed, or is another user's by now: what comes next fails if it is so")
        .about(&["the registry", "=."])
        .of(REGISTRY),
    rule(&["ftruncate"], "the control file's length: where it is short, those who wait look more often")
        .about(&["/control"])
        .of(JOINING),
    rule(&["pread64", "pwrite64"], "waking those who wait: they look by themselves after a second")
        .about(&["/control"])
        .of(REGISTRY),
    rule(&["fcntl(F_GETFL)", "getdents64", "flock"],
         "folders of dead pid namespaces: what cannot be cleared away now stays for the next one who joins")
        .about(&["the registry"])
        .of(JOINING),
    rule(&["openat"], "the same").about(&["=.", "=pid-1", "=teams"]).of(JOINING),
    rule(&["openat"], "the answer that there is no registry, or no table any more: believed, and asked again by the next look")
        .only(&[ENOENT])
        .about(FOLDERS)
        .of(LOOKING)
        .answering(),
    rule(&["openat"], "the same").only(&[ENOENT]).about(&["/proc/"]).of(LOOKING).answering(),
    rule(&["unlinkat"], "what the dead have left, links and folders: it leads nowhere, and the next one who looks or joins clears it away")
        .of(REGISTRY),
    rule(&["memfd_create"], "a kernel that does not know MFD_NOEXEC_SEAL (before 6.3): made without it").only(&[EINVAL]),
    rule(&["readlinkat", "mkdirat", "openat", "flock", "fcntl(F_GETFL)", "getdents64", "memfd_create", "fchmod", "ftruncate", "fstat",
           "mmap", "mremap", "madvise(MADV_DONTFORK)", "madvise(MADV_DONTDUMP)", "read", "fcntl(F_SETLK)", "fcntl(F_ADD_SEALS)", "symlinkat"],
         "a child's team that could not begin at its first look begins with the call itself, one line later").of(&["fork"]),
    // Other teams.
    rule(&["memfd_create"], "a sandbox that allows no objects: whether another's is one is known by its having no name")
        .only(&[EPERM])
        .of(LOOKING),
    rule(&["newfstatat"], "whether an inherited number still leads to the object: taken for so unless nothing is open there")
        .of(&["fork", "cut"]),
    rule(&["fstat"], "a part that cannot be published yet is by the team's next call").about(&["areas table"]).of(&["cut"]),
    rule(&["statx", "fstat", "fallocate"], "what was cut off is freed now, or with the last part of the object")
        .about(&["/memfd:area:"])
        .of(&["cut"]),
    rule(&["openat", "read"], "how many mappings there are, to be said in the error of pages that are not had: the next way is taken")
        .about(&["/maps"])
        .of(&["create-contiguous"]),
    rule(&["fcntl(F_GETLK)"], "whether a team lives is asked of its descriptor in /proc instead"),
    rule(&["fcntl(F_GET_SEALS)"], "the answer that it is not a memory object, and so no table")
        .about(&["areas table"])
        .of(LOOKING),
    rule(&["kill"], "the answer that a process is there, and another user's: a team that cannot be read is reported")
        .only(&[EPERM])
        .of(&["reap"]),
    rule(&["openat"], "whether a process that is gone can be looked into does not matter: `kill` says that it is gone")
        .about(&["/stat"])
        .of(&["reap"]),
    rule(&["munlock"], "the first page of a table stays locked where the program locks all that it maps, and the rest comes into RAM with it")
        .of(JOINING),
    rule(&["munlock"], "the same").of(LOOKING),
    rule(&["openat", "read", "mmap", "mremap"],
         "clones of teams that are kept from us are not asked whether they have room. (Where it is we who have no descriptor or memory, it is reported.)")
        .only(&[EACCES, EPERM, EIO, ESRCH, EAGAIN])
        .of(&["resize-beyond", "resize-in-arena"]),
    rule(&["openat", "read", "mmap", "mremap", "fstat", "statx", "memfd_create"], "what could not be read is read again at the next look, after a slice of waiting").of(&["wait", "wait-in-vain"]),
    rule(&["fstat", "statx"], "the same: a table that cannot be looked at")
        .only(&[EBADF, EOVERFLOW, EACCES, ENOENT, ELOOP])
        .about(&["areas table", "/memfd:areas "])
        .of(&["resize-beyond", "resize-in-arena"]),
    rule(&["openat", "read"], "whether a process without more areas lives is asked of `kill` instead").about(&["/status"]).of(&["walk"]),
    rule(&["futex(WAIT)"], "a slice of waiting that ends early: it looks, and goes on").of(&["wait", "wait-in-vain"]),
    rule(&["futex(WAIT)"], "the same").only(&[EAGAIN, ETIMEDOUT]).of(&["lock-in-vain", "event-in-vain"]),
    rule(&["fstat"], "what the handle by which descriptors are taken is: without one, the object is opened through /proc instead")
        .about(&["[pidfd]"])
        .of(LOOKING)
        .lacking(),
    rule(&["pidfd_open", "pidfd_getfd"], "the object is opened through /proc instead").of(LOOKING).lacking(),
    rule(&["statx"], "what was taken so, and cannot be distinguished from another file: it stays open, as to close another's file would be an act on it")
        .about(&["/memfd:area:"])
        .of(&["clone-read-only", "clone-published", "publish-alone", "create-or-open", "clone-frozen", "clone-resizable", "clone-any"])
        .leaving(),
    rule(&["fstat", "statx"], "the same").about(&["/memfd:area:"]).of(LOOKING),
    rule(&["openat"], "opening for reading what was taken so: it is opened through the owner's folder instead")
        .about(&["/proc/thread-self/fd/"])
        .of(LOOKING),
    // Moving.
    rule(&["move_pages"], "whether pages that others have mapped may be moved: unknown, so all are moved through those who have them mapped; \
                           where a sandbox forbids to ask for nodes page by page, the totals of numa_maps say it, if they are of one node; and what \
                           stays for such a reason is reported page by page, with the policy as it was")
        .only(&[EPERM, EACCES, ENOMEM])
        .of(MOVING)
        .answering(),
    rule(&["cachestat"], "what is in RAM is asked of mincore instead, and what is a hole of SEEK_DATA")
        .only(&[ENOSYS, EOPNOTSUPP, EPERM])
        .of(MOVING),
    rule(&["ioctl"], "a kernel without PAGEMAP_SCAN (before 6.7): the words of pagemap are read").only(&[ENOTTY, EINVAL]).of(MOVING),
    rule(&["ioctl"], "a kernel without PROCMAP_QUERY (before 6.11): the text of maps is read").only(&[ENOTTY, EINVAL]).of(&["cut"]),
    rule(&["madvise(MADV_POPULATE_READ)"], "the answer that the object became shorter: what was beyond its end is in RAM no more")
        .only(&[EFAULT])
        .of(MOVING)
        .answering(),
    // Sizes, populating, freezing.
    rule(&["madvise(MADV_DONTDUMP)"], "only the size of a core dump depends on it"),
    rule(&["fstat"], "a size that was seen before: objects that grow are at least as large")
        .about(&["/memfd:area:"]),
    rule(&["get_mempolicy"], "which processors are near: without an answer, those beside the caller")
        .of(POPULATING),
    rule(&["get_mempolicy"], "a kernel without NUMA has node 0").only(&[ENOSYS]),
    rule(&["get_mempolicy"], "a sandbox that forbids the question: which nodes are allowed is read from /proc instead").only(&[EPERM]),
    rule(&["cachestat"], "how much is there already: unknown, so nothing is counted as there")
        .only(&[ENOSYS, EOPNOTSUPP, EPERM])
        .of(POPULATING),
    rule(&["openat", "read"], "how much room there is (/proc, /sys, control groups): unknown, so nothing is refused beforehand")
        .about(&["/proc/meminfo", "cgroup", "/sys/", "mountinfo", "/status"])
        .of(POPULATING),
    rule(&["madvise(MADV_POPULATE_READ)"], "the kernel asks to be asked again").only(&[EAGAIN]),
    rule(&["madvise(MADV_COLLAPSE)"], "transparent huge pages are a hint; `collapsed` reports the outcome"),
    rule(&["clone3"], "a limit of threads is reached: those that could be started do it all"),
    rule(&["fcntl(F_ADD_SEALS)"], "a page is pinned: it is tried again until the timeout").only(&[EBUSY]).of(&["freeze", "freeze-locked"]),
    rule(&["dup3", "fchmod"], "it is frozen already: a descriptor for reading only, and the mode, are tidiness").of(&["freeze", "freeze-locked"]),
    rule(&["memfd_create", "fchmod", "ftruncate", "fcntl(F_ADD_SEALS)", "fcntl(F_GET_SEALS)", "fstat", "mmap"],
         "no hugetlb page: base pages are collapsed, which is the next way to such a lock").of(&["create-contiguous"]),
    rule(&["mmap"], "no hugetlb pages: base pages, as `Pages::Auto` allows; `granted` says so").of(&["create-huge"]),
    rule(&["memfd_create", "fchmod", "ftruncate", "fcntl(F_ADD_SEALS)", "fcntl(F_GET_SEALS)", "fstat"],
         "no object of hugetlb pages: base pages, as `Pages::Auto` allows; `granted` says so").of(&["create-huge"]),
];

/// The first rule that covers a failure, and its number.
pub(crate) fn rule_for(
    operation: &str,
    call: &str,
    about: &str,
    errno: i32,
) -> Option<(usize, &'static Rule)> {
    let has = |list: &[&str], word: &str| list.is_empty() || list.contains(&word);
    RULES.iter().enumerate().find(|(_, rule)| {
        has(rule.calls, call)
            && has(rule.operations, operation)
            && (rule.about.is_empty()
                || rule.about.iter().any(|word| match word.strip_prefix('=') {
                    Some(whole) => about == whole,
                    None => about.contains(word),
                }))
            && (rule.errnos.is_empty() || rule.errnos.contains(&errno))
    })
}
