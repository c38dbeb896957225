//! `areas man`: the manual pages, for those who package the command.
//!
//! All of it comes from the definition of the command line: what is said behind its options
//! (examples, exit status, environment) gets the sections in which people look for it
//! (man-pages(7)).

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man as Page;

use crate::args::{Args, Man};
use crate::failure::{Result, io_error};

/// How paragraphs behind the options begin that have a section of their own.
const EXAMPLES: &str = "Examples:\n";
const EXIT_STATUS: &str = "Exit status: ";
const ENVIRONMENT: &str = "Environment: ";

const FILES: [(&str, &str); 3] = [
    (
        "/dev/shm/areas-UID",
        "the registry of a user: a link for each process that publishes areas, into /proc. AREAS_DIR names another one.",
    ),
    (
        "/proc/PID/fd, /proc/PID/maps",
        "where the memory of a process's areas is found, and its other holders.",
    ),
    ("/sys/devices/system/node", "the machine's memory nodes."),
];

pub(crate) fn run(man: &Man) -> Result<ExitCode> {
    // Commands that are not for people have no page.
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    let failed = |error| io_error(format!("write manual pages into {:?}", man.dir), error);
    let shown = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    for one in shown.chain([&command]) {
        let (name, text) = page(one, &command).map_err(failed)?;
        fs::write(man.dir.join(name), text).map_err(failed)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The page of a command of the whole: what its file is called, and what is in it.
fn page(command: &Command, whole: &Command) -> std::io::Result<(String, String)> {
    let version = whole.get_version().unwrap_or_default();
    let page = Page::new(command.clone());
    let name = page.get_filename();
    let mut bytes = Vec::new();
    // Without a date its generator leaves it out, and what follows is taken for it. No word is
    // broken: some are typed.
    writeln!(bytes, ".TH {} 1 \"\" \"areas {version}\" Areas\n.nh", name.trim_end_matches(".1"))?;
    page.render_name_section(&mut bytes)?;
    bytes.extend_from_slice(synopsis(command).as_bytes());
    page.render_description_section(&mut bytes)?;
    page.render_options_section(&mut bytes)?;
    let is_whole = command.get_name() == whole.get_name();
    if is_whole {
        page.render_subcommands_section(&mut bytes)?;
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    let own = behind(command);
    text += &section("EXAMPLES", &own, EXAMPLES);
    let rest: Vec<&str> = own
        .split("\n\n")
        .filter(|paragraph| {
            ![EXAMPLES, EXIT_STATUS, ENVIRONMENT].iter().any(|start| paragraph.starts_with(start))
        })
        .collect();
    if !own.is_empty() && !rest.is_empty() {
        text += &format!(
            ".SH NOTES\n{}\n",
            rest.iter().map(|paragraph| escaped(paragraph)).collect::<Vec<_>>().join("\n.PP\n")
        );
    }
    let general = behind(whole);
    // What a command says of its own is all that it says.
    let status = if own.split("\n\n").any(|part| part.starts_with(EXIT_STATUS)) { &own } else { &general };
    text += &section("EXIT STATUS", status, EXIT_STATUS);
    text += &section("ENVIRONMENT", &general, ENVIRONMENT);
    text += ".SH FILES\n";
    for (file, what) in FILES {
        // Writing to a string cannot fail.
        let _ = writeln!(text, ".TP\n.I {}\n{}", escaped(file), escaped(what));
    }
    text += ".SH SEE ALSO\n";
    let others = whole.get_subcommands().filter(|other| !other.is_hide_set());
    let pages = others.map(|other| format!("areas-{}", other.get_name())).chain(["areas".to_owned()]);
    let own_page = name.trim_end_matches(".1");
    let pages: Vec<String> =
        pages.filter(|page| page != own_page).map(|page| format!(".BR {} (1)", escaped(&page))).collect();
    text += &(pages.join(",\n") + "\n");
    Ok((name, text))
}

/// What is said behind a command's options.
fn behind(command: &Command) -> String {
    let said = command.get_after_long_help().or_else(|| command.get_after_help());
    said.map(ToString::to_string).unwrap_or_default()
}

/// The paragraph that begins so, as a section; lines of examples stay lines.
fn section(title: &str, text: &str, start: &str) -> String {
    let Some(found) = text.split("\n\n").find_map(|paragraph| paragraph.strip_prefix(start)) else {
        return String::new();
    };
    match start {
        EXAMPLES => {
            let lines = found.lines().map(|line| line.strip_prefix("  ").unwrap_or(line));
            format!(".SH {title}\n.nf\n{}\n.fi\n", lines.map(escaped).collect::<Vec<_>>().join("\n"))
        }
        // `0, 1 failed, …; 128+n when …`
        _ => format!(".SH {title}\n{}\n", escaped(found)),
    }
}

/// All options, with what they take, and all arguments.
fn synopsis(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut text = format!(".SH SYNOPSIS\n.B {}\n", escaped(name));
    let shown = |arg: &&Arg| !arg.is_hide_set();
    let options = command.get_arguments().filter(shown).filter(|arg| !arg.is_positional());
    let (required, optional): (Vec<&Arg>, Vec<&Arg>) = options.partition(|arg| arg.is_required_set());
    for arg in required.into_iter().chain(optional) {
        let _ = writeln!(text, "{}", bracketed(arg, &option(arg)));
    }
    for arg in command.get_positionals().filter(shown) {
        let many = arg.get_num_args().is_some_and(|range| range.max_values() > 1);
        let (dashes, dots) = (if arg.is_last_set() { "\\-\\- " } else { "" }, if many { " ..." } else { "" });
        let _ =
            writeln!(text, "{}", bracketed(arg, &format!("{dashes}\\fI{}\\fR{dots}", escaped(&values(arg)))));
    }
    if command.has_subcommands() {
        text += "\\fICOMMAND\\fR ...\n";
    }
    text
}

fn bracketed(arg: &Arg, text: &str) -> String {
    if arg.is_required_set() { text.to_owned() } else { format!("[{text}]") }
}

/// `-q|--quiet`, `--name NAME`
fn option(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("\\fB\\-{short}\\fR"));
    let long = arg.get_long().map(|long| format!("\\fB\\-\\-{}\\fR", escaped(long)));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let takes = match arg.get_action().takes_values() {
        true => format!(" \\fI{}\\fR", escaped(&values(arg))),
        false => String::new(),
    };
    names.join("|") + &takes
}

/// What its value is called.
fn values(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some(names) => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        None => arg.get_id().as_str().to_uppercase(),
    }
}

/// The text as roff has it: nothing in it is obeyed.
fn escaped(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
        if line.starts_with('.') { format!("\\&{line}") } else { line }
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_not_obeyed() {
        assert_eq!(escaped(".so x\n'a' \\n `-q`"), "\\&.so x\n\\(aqa\\(aq \\en \\(ga\\-q\\(ga");
    }

    #[test]
    fn a_synopsis_has_all_that_can_be_said() {
        let mut whole = Args::command();
        whole.build();
        let create = whole.find_subcommand("create").unwrap();
        let text = synopsis(create);
        for part in [
            ".B areas create\n",
            "\n\\fB\\-\\-size\\fR \\fISIZE\\fR\n",
            "\n[\\fB\\-\\-populate\\fR]\n",
            "\n[\\fB\\-q\\fR|\\fB\\-\\-quiet\\fR]\n",
            "\n[\\-\\- \\fICOMMAND\\fR ...]\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
