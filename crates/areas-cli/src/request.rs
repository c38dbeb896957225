//! What a holder may be asked by another `areas` command, and what it answers.

use std::sync::mpsc::SyncSender;

use areas::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Which areas it holds, and for what.
    Holds,
    /// To freeze an area, waiting at most so many milliseconds for writers.
    Freeze {
        id: i32,
        // Between processes it has its older name.
        #[serde(rename = "patience")]
        timeout: u64,
    },
    /// To publish an area under another name instead of its own.
    Rename { id: i32, name: Vec<u8>, exclusive: bool },
    /// To hold an area no longer, of several.
    Drop { id: i32 },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Its areas, and the command that it holds them for.
    Holds { ids: Vec<i32>, command: Option<String> },
    /// It is done; the area has that id now.
    Done { id: i32 },
    /// It could not be done.
    Failed { what: String, detail: Option<String>, help: Option<String>, busy: bool },
}

/// Ids that an answer has room for.
pub(crate) const MAX_IDS: usize = 4096;

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        let detail = match (error.facts(), error.system_call(), error.errno()) {
            (Some(facts), ..) => Some(facts.to_owned()),
            (None, Some(call), Some(errno)) => Some(format!("{call}: {errno}")),
            _ => None,
        };
        Answer::Failed {
            what: error.what().to_owned(),
            detail,
            help: error.remedy().map(str::to_owned),
            busy: error.kind() == ErrorKind::Busy,
        }
    }
}

/// A request, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    answer: SyncSender<Answer>,
}

impl Asked {
    pub(crate) fn new(request: Request, answer: SyncSender<Answer>) -> Self {
        Asked { request, answer }
    }

    pub(crate) fn answer(self, answer: Answer) {
        // Who asked may have gone.
        let _ = self.answer.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are_written() {
        let requests = [
            Request::Holds,
            Request::Freeze { id: 7, timeout: 100 },
            Request::Rename { id: 7, name: vec![0xff, 1], exclusive: true },
            Request::Drop { id: 7 },
        ];
        for request in requests {
            let text = serde_json::to_vec(&request).unwrap();
            assert!(!text.contains(&b'\n'));
            assert_eq!(serde_json::from_slice::<Request>(&text).unwrap(), request);
        }
        for nonsense in ["", "{}", "\"Everything\"", "{\"Freeze\":{\"id\":\"x\"}}", "[1]"] {
            assert!(serde_json::from_str::<Request>(nonsense).is_err(), "{nonsense}");
        }
    }
}
