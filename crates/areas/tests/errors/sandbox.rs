//! A sandbox of a test's own: a seccomp filter that answers some calls with an error number, as
//! containers do, and kernels that lack something.

#![expect(unsafe_code, reason = "installs a seccomp filter; the block has its proof")]

/// What is refused: a call, perhaps with one argument only, and the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refuse {
    call: libc::c_long,
    /// Which argument, and the value of its low half.
    only: Option<(u32, u32)>,
    /// What the filter returns.
    answer: u32,
}

pub(crate) const fn refuse(call: libc::c_long, errno: i32) -> Refuse {
    Refuse { call, only: None, answer: libc::SECCOMP_RET_ERRNO | errno.cast_unsigned() }
}

/// A call at which the process is killed, as systemd's filters do that have no error number.
pub(crate) const fn kills(call: libc::c_long) -> Refuse {
    Refuse { call, only: None, answer: libc::SECCOMP_RET_KILL_PROCESS }
}

impl Refuse {
    /// Only where that argument (0 is the first) is that.
    pub(crate) const fn only(self, argument: u32, value: u32) -> Self {
        Refuse { only: Some((argument, value)), ..self }
    }
}

/// From here on, for all threads of this process, forever.
pub(crate) fn enter(rules: &[Refuse]) {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
    let code = |code: u32| u16::try_from(code).unwrap();
    let step = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let load = |offset| step(code(BPF_LD | BPF_W | BPF_ABS), offset);
    let unless =
        |value, skip| libc::sock_filter { code: code(BPF_JMP | BPF_JEQ | BPF_K), jt: 0, jf: skip, k: value };
    let answer = |what| step(code(BPF_RET | BPF_K), what);
    let mut program = Vec::new();
    for rule in rules {
        // `struct seccomp_data`: the number at 0, the arguments, 8 bytes each, from 16 on, low half
        // first.
        program.push(load(0));
        program.push(unless(u32::try_from(rule.call).unwrap(), if rule.only.is_some() { 3 } else { 1 }));
        if let Some((argument, value)) = rule.only {
            program.push(load(16 + 8 * argument));
            program.push(unless(value, 1));
        }
        program.push(answer(rule.answer));
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    install(program);
}

/// From here on any other call kills the process.
pub(crate) fn enter_allowing(calls: &[libc::c_long]) {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
    let code = |code: u32| u16::try_from(code).unwrap();
    let step = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let mut program = vec![step(code(BPF_LD | BPF_W | BPF_ABS), 0)];
    for &call in calls {
        let k = u32::try_from(call).unwrap();
        program.push(libc::sock_filter { code: code(BPF_JMP | BPF_JEQ | BPF_K), jt: 0, jf: 1, k });
        program.push(step(code(BPF_RET | BPF_K), libc::SECCOMP_RET_ALLOW));
    }
    program.push(step(code(BPF_RET | BPF_K), libc::SECCOMP_RET_KILL_PROCESS));
    install(program);
}

fn install(mut program: Vec<libc::sock_filter>) {
    let program =
        libc::sock_fprog { len: u16::try_from(program.len()).unwrap(), filter: program.as_mut_ptr() };
    // SAFETY: takes a right away, and changes no memory.
    let status = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(status, 0);
    // SAFETY: the program and its array outlive the call, which copies them; its length is given.
    let status = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        )
    };
    assert_eq!(status, 0, "seccomp: {}", std::io::Error::last_os_error());
}
