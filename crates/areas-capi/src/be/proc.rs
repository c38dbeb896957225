//! What Linux tells of processes and threads, in `/proc`: for the companions of the calls about areas.

use areas::files;

/// The fields of one `stat` file of `/proc`.
pub(super) struct Stat {
    pub(super) name: Vec<u8>,
    pub(super) state: u8,
    /// What comes behind the state, from the parent on.
    numbers: Vec<i64>,
}

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

/// The numbers behind a key of a `status` file.
pub(super) fn status(id: i32, key: &str) -> Option<Vec<u32>> {
    let text = files::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect())
}

/// The process of a thread.
pub(super) fn team_of(thread: i32) -> Option<i32> {
    i32::try_from(*status(thread, "Tgid")?.first()?).ok()
}

/// Whether a process of that number is there; one that has ended and was not waited for is.
pub(super) fn is_team(id: i32) -> bool {
    id > 0 && team_of(id) == Some(id)
}

/// The processes, by number.
pub(super) fn teams() -> Vec<i32> {
    numbers("/proc")
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
    }

    #[test]
    fn counters_are_read() {
        let text = "MemTotal:  100 kB\npgfault 7\npgfaultmore 8\n";
        assert_eq!((counter(text, "MemTotal"), counter(text, "pgfault"), counter(text, "no")), (100, 7, 0));
    }
}
