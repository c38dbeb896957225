//! What was done and what was found, for people or as JSON.

use serde_json::{Value, json};

use crate::board::SLOTS;
use crate::ending::Remains;
use crate::finding::Rule;
use crate::op::{OUTCOMES, Op, outcome_name};
use crate::storm::{Deeds, Storm};

#[derive(Debug)]
pub(crate) struct Report {
    seed: u64,
    processes: usize,
    deeds: Deeds,
    /// For each operation, how often it came to which outcome.
    counts: Vec<Vec<u64>>,
    checked: u64,
    remains: Remains,
    pub(crate) findings: Vec<Value>,
    /// What did not come about in a run that was too short to insist.
    untried: Vec<String>,
}

impl Report {
    pub(crate) fn collect(storm: &Storm, remains: Remains) -> Self {
        let mut counts = vec![vec![0; OUTCOMES]; Op::ALL.len()];
        for place in (0..SLOTS).map_while(|number| storm.board.look(number)) {
            for (at, count) in place.counts().into_iter().enumerate() {
                counts[at / OUTCOMES][at % OUTCOMES] += count;
            }
        }
        Report {
            seed: storm.seed,
            processes: storm.options.processes,
            deeds: storm.deeds,
            counts,
            checked: storm.board.checked(),
            remains,
            findings: storm.findings.all(),
            untried: Vec::new(),
        }
    }

    /// What was never done was not tested: a finding, where there was time enough, on a busy
    /// machine too; else it is reported.
    pub(crate) fn check_coverage(&mut self, storm: &Storm) {
        const ENOUGH: f64 = 300.0;
        for (op, counts) in Op::ALL.iter().zip(&self.counts) {
            if counts[0] == 0 {
                let tried: u64 = counts.iter().sum();
                self.untried.push(format!("{:?} never succeeded ({tried} times tried)", op.name()));
            }
        }
        let Deeds { kills, group_kills, stops, folders_removed, .. } = self.deeds;
        for (count, what) in [
            (kills, "no process was killed"),
            (group_kills, "no group was killed"),
            (stops, "no process was stopped"),
            (folders_removed, "the folder was never removed"),
            (self.checked, "no byte was checked"),
        ] {
            if count == 0 {
                self.untried.push(what.to_owned());
            }
        }
        if self.deeds.seconds >= ENOUGH {
            for what in self.untried.drain(..) {
                storm.findings.report(Rule::Coverage, "the report", &what);
            }
            self.findings = storm.findings.all();
        }
    }

    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(&self.json())?);
        } else {
            self.text();
        }
        Ok(())
    }

    fn done(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    fn json(&self) -> Value {
        let operations: serde_json::Map<String, Value> = Op::ALL
            .iter()
            .zip(&self.counts)
            .map(|(op, counts)| {
                let outcomes: serde_json::Map<String, Value> = counts
                    .iter()
                    .enumerate()
                    .filter(|&(_, &count)| count > 0)
                    .map(|(outcome, &count)| (outcome_name(outcome), json!(count)))
                    .collect();
                (op.name().to_owned(), Value::Object(outcomes))
            })
            .collect();
        let Deeds { seconds, begun, reaped, killed, kills, group_kills, stops, folders_removed, .. } =
            self.deeds;
        let Deeds { ids_reused, slots_reused, most_areas, most_processes, .. } = self.deeds;
        let Remains { used, memory_before, memory_after, links, bytes_of_files, descriptors } = self.remains;
        json!({
            "schema": 1, "seed": self.seed, "processes": self.processes, "seconds": seconds,
            "operations": operations, "done": self.done(), "bytes_checked": self.checked,
            "workers_begun": begun, "reaped_by_supervisor": reaped, "of_those_killed": killed,
            "kills": kills, "group_kills": group_kills, "stops": stops, "folders_removed": folders_removed,
            "ids_reused": ids_reused, "slots_reused": slots_reused,
            "most_areas": most_areas, "most_processes": most_processes,
            "remains": {
                "areas_had_bytes": used, "shared_memory_before": memory_before, "shared_memory_after": memory_after,
                "links": links, "bytes_of_files": bytes_of_files, "descriptors_of_supervisor": descriptors,
            },
            "findings": self.findings,
        })
    }

    fn text(&self) {
        println!("{:<22} {:>10}  errors that others caused", "operation", "good");
        for (op, counts) in Op::ALL.iter().zip(&self.counts) {
            let errors: Vec<String> = counts
                .iter()
                .enumerate()
                .skip(1)
                .filter(|&(_, &count)| count > 0)
                .map(|(outcome, count)| format!("{count} {}", outcome_name(outcome)))
                .collect();
            println!("{:<22} {:>10}  {}", op.name(), counts[0], errors.join(", "));
        }
        let Deeds { seconds, begun, reaped, killed, kills, group_kills, stops, folders_removed, .. } =
            self.deeds;
        let Deeds { ids_reused, slots_reused, most_areas, most_processes, .. } = self.deeds;
        let Remains { used, memory_before, memory_after, links, bytes_of_files, .. } = self.remains;
        let forks: u64 = [Op::Fork, Op::ForkThreaded].iter().map(|op| self.counts[op.index()][0]).sum();
        println!("\nseed {}, {} workers, {seconds:.0} s", self.seed, self.processes);
        println!(
            "{} operations, {} bytes checked",
            self.done(),
            areas::Bytes::from(usize::try_from(self.checked).unwrap_or(usize::MAX))
        );
        println!(
            "processes: {begun} workers begun, {forks} children forked, {most_processes} at once; {reaped} reaped by the supervisor, {killed} of them killed"
        );
        println!(
            "{kills} processes and {group_kills} groups killed, {stops} stopped for a while, the folder removed {folders_removed} times"
        );
        println!(
            "up to {most_areas} areas at once; seen: {ids_reused} ids and {slots_reused} slots used again"
        );
        println!(
            "at the end: {used} bytes in areas; shared memory of the machine {memory_before} bytes before, {memory_after} after; \
             {links} dangling links and {bytes_of_files} bytes of files left in the folder"
        );
        if !self.untried.is_empty() {
            println!("not tried this time: {}", self.untried.join("; "));
        }
        match self.findings.len() {
            0 => println!("no findings"),
            n => println!("{n} FINDINGS"),
        }
        for finding in &self.findings {
            let text = |key: &str| finding[key].as_str().unwrap_or("?").to_owned();
            println!("- not so: {}\n  {}\n  by {}", text("rule"), text("what"), text("by"));
        }
    }
}
