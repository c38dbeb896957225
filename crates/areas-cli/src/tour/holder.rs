//! The tour's end of a worker process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use areas::{Error, ErrorKind, Name};

use super::worker::{Answer, Question};
use crate::failure::io_error;

/// A worker process that holds a clone of the area. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Holder {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Holder {
    /// Starts one.
    pub(super) fn start(name: &Name, file: &Path) -> areas::Result<Self> {
        use std::os::unix::ffi::OsStrExt;
        let failed = |error| io_error("start a worker process", error);
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .arg("tour-worker")
            .arg("--name")
            .arg(std::ffi::OsStr::from_bytes(name.as_bytes()))
            .arg("--file")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::new(ErrorKind::System, "start a worker process").with_facts("it has no pipes"));
        };
        Ok(Holder { child, questions, answers: BufReader::new(answers) })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it, and waits for the answer.
    pub(super) fn ask(&mut self, question: Question) -> areas::Result<Answer> {
        let failed = |error| io_error("ask a worker process", error);
        let text = serde_json::to_string(&question).map_err(|error| failed(error.into()))?;
        writeln!(self.questions, "{text}").map_err(failed)?;
        let mut line = String::new();
        let got = self.answers.read_line(&mut line).map_err(failed)?;
        if got == 0 {
            // What went wrong there it has said itself.
            return Err(Error::new(ErrorKind::System, format!("ask worker process {}", self.pid()))
                .with_facts("it has ended without an answer"));
        }
        serde_json::from_str(&line).map_err(|error| failed(error.into()))
    }

    /// Kills it with SIGKILL, which nothing can catch, and waits for its end.
    pub(super) fn kill(mut self) -> areas::Result<()> {
        let failed = |error| io_error("kill a worker process", error);
        self.child.kill().map_err(failed)?;
        self.child.wait().map_err(failed)?;
        Ok(())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended, or been killed, already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
