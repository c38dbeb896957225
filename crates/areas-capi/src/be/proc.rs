//! What Linux shows of processes and threads, in `/proc`: for the companions of the calls about
//! areas.

use areas::files;

/// The fields of one `stat` file of `/proc`.
pub(super) struct Stat {
    pub(super) name: Vec<u8>,
    pub(super) state: u8,
    /// What comes behind the state, from the parent on.
    numbers: Vec<i64>,
}

/// Of the kernel's flags of a thread: it runs in the kernel and has no memory of its own
/// (`PF_KTHREAD`).
const KERNEL_THREAD: i64 = 0x0020_0000;

/// A clock tick, as `/proc` counts time, in microseconds: 100 a second on all machines.
const TICK: i64 = 10_000;

impl Stat {
    /// Of a process, or of a thread by its own number.
    pub(super) fn read(id: i32) -> Option<Self> {
        Self::parse(&files::read(format!("/proc/{id}/stat")).ok()?)
    }

    /// `PID (NAME) STATE NUMBER…`, where the name may hold anything.
    fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|&byte| byte == b'(')?;
        let close = text.iter().rposition(|&byte| byte == b')')?;
        let name = text.get(open + 1..close)?.to_vec();
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        let mut words = rest.split_ascii_whitespace();
        let state = *words.next()?.as_bytes().first()?;
        // Limits and addresses may be larger than a signed number: they are not used.
        let numbers = words.map(|word| word.parse().unwrap_or(i64::MAX)).collect();
        Some(Stat { name, state, numbers })
    }

    /// A field by its number in proc(5), from the fourth on.
    fn field(&self, number: usize) -> i64 {
        number.checked_sub(4).and_then(|index| self.numbers.get(index)).copied().unwrap_or(0)
    }

    fn id(&self, number: usize) -> i32 {
        i32::try_from(self.field(number)).unwrap_or(-1)
    }

    /// Whether the thread has ended, and only waits to be fetched. (The first one of a process may
    /// have, while others live.)
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Whether it is one of the kernel's own: it has no addresses, and is of no team.
    pub(super) fn is_kernels(&self) -> bool {
        self.field(9) & KERNEL_THREAD != 0
    }

    /// Whether the thread lives, and is a team's.
    pub(super) fn is_teams(&self) -> bool {
        !self.has_ended() && !self.is_kernels()
    }

    pub(super) fn parent(&self) -> i32 {
        self.id(4)
    }

    pub(super) fn group(&self) -> i32 {
        self.id(5)
    }

    pub(super) fn session(&self) -> i32 {
        self.id(6)
    }

    /// Microseconds.
    pub(super) fn user_time(&self) -> i64 {
        self.field(14).saturating_mul(TICK)
    }

    /// Microseconds.
    pub(super) fn kernel_time(&self) -> i64 {
        self.field(15).saturating_mul(TICK)
    }

    /// BeOS's priority of a nice value: 10 is normal, 1 the least.
    pub(super) fn priority(&self) -> i32 {
        (10 - self.id(19) / 2).clamp(1, 99)
    }

    pub(super) fn threads(&self) -> i32 {
        self.id(20)
    }

    /// Microseconds since boot.
    pub(super) fn started(&self) -> i64 {
        self.field(22).saturating_mul(TICK)
    }
}

/// A `status` file of `/proc`.
pub(super) struct Words(String);

impl Words {
    /// Of a process, or of a thread by its own number.
    pub(super) fn read(id: i32) -> Option<Self> {
        files::read_to_string(format!("/proc/{id}/status")).ok().map(Words)
    }

    /// The numbers behind a key, in order.
    pub(super) fn numbers(&self, key: &str) -> impl Iterator<Item = u32> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_default().split_ascii_whitespace().filter_map(|word| word.parse().ok())
    }

    /// The process that it is of.
    fn team(&self) -> Option<i32> {
        i32::try_from(self.numbers("Tgid").next()?).ok()
    }
}

/// The process of a thread.
pub(super) fn team_of(thread: i32) -> Option<i32> {
    Words::read(thread)?.team()
}

/// What the kernel says of a process, if one of that number is a team: not one that has ended and
/// was not waited for, none of the kernel's own threads, and no thread's number.
pub(super) fn team(id: i32) -> Option<(Stat, Words)> {
    if id <= 0 {
        return None;
    }
    let words = Words::read(id).filter(|words| words.team() == Some(id))?;
    Stat::read(id).filter(|stat| is_alive(id, stat)).map(|stat| (stat, words))
}

/// Whether a process is a team. Where its first thread has ended, others may live.
fn is_alive(id: i32, stat: &Stat) -> bool {
    // A thread that has ended is listed for as long as the process is not fetched; the others go at
    // once.
    let has_others = || numbers(&format!("/proc/{id}/task")).len() > 1;
    !stat.is_kernels() && (!stat.has_ended() || has_others())
}

/// The numbers that may be teams', in order: all that `/proc` has.
pub(super) fn numbers_of_teams() -> Vec<i32> {
    numbers("/proc")
}

/// How many teams there are.
pub(super) fn count_teams() -> usize {
    let is_team = |&id: &i32| Stat::read(id).is_some_and(|stat| is_alive(id, &stat));
    numbers_of_teams().into_iter().filter(is_team).count()
}

/// The threads of this process, by number.
pub(super) fn own_threads() -> Vec<i32> {
    numbers("/proc/self/task")
}

fn numbers(folder: &str) -> Vec<i32> {
    let names = files::names_in(folder, usize::MAX).unwrap_or_default();
    let mut numbers: Vec<i32> = names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// A number behind a word in a file such as `/proc/meminfo`, 0 where there is none.
pub(super) fn counter(text: &str, key: &str) -> u64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(key)?;
        rest.trim_start_matches(':').split_ascii_whitespace().next()?.parse().ok()
    };
    text.lines().find_map(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let line = b"7 (a) b (c) S 1 2 3 0 -1 0 0 0 0 0 11 12 0 0 20 4 5 0 900 1 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.name.as_slice(), stat.state), (b"a) b (c".as_slice(), b'S'));
        assert_eq!((stat.parent(), stat.group(), stat.session()), (1, 2, 3));
        assert_eq!((stat.user_time(), stat.kernel_time()), (110_000, 120_000));
        assert_eq!((stat.priority(), stat.threads(), stat.started()), (8, 5, 9_000_000));
        assert!(Stat::parse(b"junk").is_none() && Stat::parse(b")(").is_none());
        assert!(!stat.has_ended() && !stat.is_kernels());
    }

    #[test]
    fn kernel_threads_and_who_has_ended_are_known() {
        let line = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 21 0 0 20 0 1 0 3 0 0";
        assert!(Stat::parse(line).unwrap().is_kernels());
        let line = b"9 (sh) Z 1 2 3 0 -1 4227084 0 0 0 0 0 11 0 0 20 0 1 0 900 0 0";
        let ended = Stat::parse(line).unwrap();
        assert!(ended.has_ended() && !ended.is_kernels());
    }

    #[test]
    fn this_process_is_a_team() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(team(own).is_some() && count_teams() > 0);
        assert!(team(0).is_none() && team(-1).is_none() && team(i32::MAX).is_none());
    }

    #[test]
    fn counters_are_read() {
        let text = "MemTotal:  100 kB\npgfault 7\npgfaultmore 8\n";
        assert_eq!((counter(text, "MemTotal"), counter(text, "pgfault"), counter(text, "no")), (100, 7, 0));
    }
}
