//! The engines in one run: what brings an area's bytes into another process's or another host's
//! memory, in GB/s, and as a part of what `sendfile` takes through a socket between the same two
//! network namespaces.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::bench::flight;
use crate::process;
use crate::test::mpi;

/// Measures Flight, MPI and Zenoh one after the other, prints a table, and writes it to
/// target/reach/table.md.
///
/// As root, with nothing else to do: the other hosts are network namespaces. Zenoh takes some ten
/// minutes to build, once.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Bytes of an area
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    size: u64,
    /// How often each row is measured
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    rounds: u32,
    /// Without Zenoh
    #[arg(long)]
    no_zenoh: bool,
}

/// One figure: who sends, who receives, how fast.
#[derive(Debug, PartialEq)]
struct Row {
    engine: &'static str,
    what: String,
    gigabytes_a_second: f64,
}

/// The command.
pub(super) fn run(options: &Options) -> Result<()> {
    flight::run(&flight::Options::measuring(options.size, options.rounds))?;
    let file = process::target_folder().join("bench/flight.json");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let report: Value = serde_json::from_str(&text)?;
    let (mut rows, ceiling) = of_flight(&report)?;
    rows.extend(of_mpi(options)?);
    let mut text = table(&rows, ceiling);
    if !options.no_zenoh {
        let _ = write!(text, "\n{}", super::zenoh(&[])?);
    }
    let load = fs::read_to_string("/proc/loadavg")?;
    let _ = writeln!(
        text,
        "\n{} bytes, medians of {}; {} CPUs; load at the end {}.",
        options.size,
        options.rounds,
        std::thread::available_parallelism()?,
        load.split(' ').next().unwrap_or_default()
    );
    let folder = process::target_folder().join("reach");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("table.md"), &text)?;
    print!("{text}");
    Ok(())
}

/// The rows between two networks, and what `sendfile` takes there.
fn of_flight(report: &Value) -> Result<(Vec<Row>, f64)> {
    let networks = report["networks"].as_array().context("flight.json names no networks")?;
    let Some(network) = networks.iter().find(|network| network["network"] == "veth") else {
        bail!("no two network namespaces could be made: run as root, with veth devices");
    };
    let size = network["size"].as_f64().context("a size")?;
    let mut rows = Vec::new();
    let mut ceiling = None;
    for row in network["rows"].as_array().context("flight.json has no rows")? {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let (server, client) = (text("server"), text("client"));
        let speed = size / row["seconds"].as_f64().context("seconds")? / 1e9;
        if server == "sendfile" {
            ceiling = Some(speed);
        } else {
            rows.push(Row {
                engine: "Flight",
                what: format!("{server} to {client}"),
                gigabytes_a_second: speed,
            });
        }
    }
    Ok((rows, ceiling.context("flight.json has no row of sendfile")?))
}

fn of_mpi(options: &Options) -> Result<Vec<Row>> {
    let measured = match mpi::measure(usize::try_from(options.size)?, options.rounds)? {
        Ok(measured) => measured,
        Err(why) => bail!("MPI: {why}"),
    };
    let row = |what: &str, seconds: fn(&mpi::Measured) -> f64| {
        let mut all: Vec<f64> = measured.iter().map(seconds).collect();
        all.sort_unstable_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "a speed, of two digits")]
        let bytes = options.size as f64;
        Row { engine: "MPI", what: what.to_owned(), gigabytes_a_second: bytes / all[all.len() / 2] / 1e9 }
    };
    Ok(vec![
        row("`areas-spread`: read, sent and checked", |one| one.moved),
        row("`areas-spread`: areas made and populated, too", |one| one.made + one.moved),
        row("ordinary memory: read and sent", |one| one.plain),
        row("`MPI_Bcast` alone, into pages that are there", |one| one.broadcast),
    ])
}

fn table(rows: &[Row], ceiling: f64) -> String {
    let mut text = "| engine | what | GB/s | of `sendfile` |\n|---|---|---|---|\n".to_owned();
    for Row { engine, what, gigabytes_a_second: speed } in rows {
        let _ = writeln!(text, "| {engine} | {what} | {speed:.2} | {:.2} |", speed / ceiling);
    }
    let _ =
        writeln!(text, "| none | `sendfile` from a memory object into an area's memory | {ceiling:.2} | 1 |");
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn speeds_are_reported_beside_the_ceiling() {
        let reported = json!({"networks": [
            {"network": "loopback"},
            {"network": "veth", "size": 2_000_000_000_u64, "rows": [
                {"server": "areas", "client": "pyarrow", "seconds": 2.0},
                {"server": "sendfile", "client": "recv", "seconds": 0.5},
            ]},
        ]});
        let (rows, ceiling) = of_flight(&reported).unwrap();
        assert!((ceiling - 4.0).abs() < 1e-9, "{ceiling}");
        assert!(table(&rows, ceiling).contains("| Flight | areas to pyarrow | 1.00 | 0.25 |"));
        assert!(of_flight(&json!({"networks": [{"network": "loopback"}]})).is_err());
    }
}
