//! `areas completions`: what a shell needs to complete the command line, the names of living areas
//! included.
//!
//! The scripts know the command; for names they ask it: `areas complete-names`, which is not for
//! people.

use std::collections::BTreeSet;
use std::process::ExitCode;

use areas::registry;
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;

use crate::args::{Args, CompleteNames, Completions};
use crate::failure::Result;
use crate::output;

/// What an argument that means an area is called in the help.
const AREA: &str = "NAME|ID";
/// The command that takes names alone, and what its argument is called in the code: of an id it has
/// no use.
const BY_NAME: (&str, &str) = ("serve", "names");

pub(crate) fn run(completions: &Completions) -> Result<ExitCode> {
    let mut command = for_people(Args::command());
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut command, "areas", &mut script);
    let script = with_names(completions.shell, &String::from_utf8_lossy(&script), &command);
    output::print_raw(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// The command without those subcommands that are not for people: generators complete hidden ones
/// too.
fn for_people(whole: Command) -> Command {
    let command =
        Command::new("areas").version(env!("CARGO_PKG_VERSION")).args(whole.get_arguments().cloned());
    command.subcommands(whole.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()).cloned())
}

/// The commands that take areas, and what the argument is called there.
fn taking_areas(command: &Command) -> Vec<(&str, &str)> {
    let is_area = |one: &Command, arg: &Arg| {
        arg.get_value_names().is_some_and(|names| names.iter().any(|name| name.as_str() == AREA))
            || (one.get_name(), arg.get_id().as_str()) == BY_NAME
    };
    let of = |one| {
        let area = Command::get_positionals(one).find(|arg| is_area(one, arg))?;
        Some((one.get_name(), area.get_id().as_str()))
    };
    command.get_subcommands().filter_map(of).collect()
}

/// The options of these commands behind which a value stands: `ls --sort`, as patterns of bash.
fn with_values(command: &Command, names: &[&str]) -> Vec<String> {
    let mut options = Vec::new();
    for one in command.get_subcommands().filter(|one| names.contains(&one.get_name())) {
        let takes = one.get_arguments().filter(|arg| !arg.is_positional() && arg.get_action().takes_values());
        let long = takes.filter_map(|arg| arg.get_long());
        options.extend(long.map(|long| format!("\"{} --{long}\"", one.get_name())));
    }
    options
}

/// What fish's generator leaves out: the words that an argument may be which is not an option.
fn words_of_arguments(command: &Command) -> String {
    let mut lines = String::new();
    for one in command.get_subcommands() {
        let values = one.get_positionals().flat_map(Arg::get_possible_values);
        let words: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
        if !words.is_empty() {
            let (name, words) = (one.get_name(), words.join(" "));
            lines +=
                &format!("complete -c areas -n \"__fish_seen_subcommand_from {name}\" -f -a \"{words}\"\n");
        }
    }
    lines
}

/// The script of a shell, with what completes names of areas. Shells for which there is none
/// complete all else.
fn with_names(shell: Shell, script: &str, command: &Command) -> String {
    let taking = taking_areas(command);
    let names: Vec<&str> = taking.iter().map(|(name, _)| *name).collect();
    match shell {
        Shell::Bash => {
            let options = with_values(command, &names).join("|");
            script.to_owned() + &BASH.replace("COMMANDS", &names.join("|")).replace("OPTIONS", &options)
        }
        Shell::Fish => {
            let seen: Vec<&str> = names.iter().copied().filter(|&name| name != BY_NAME.0).collect();
            let seen = seen.join(" ");
            let line = |seen: &str, option: &str| {
                format!(
                    "complete -c areas -n \"__fish_seen_subcommand_from {seen}\" -f -a \"(areas complete-names{option} (commandline -ct) 2>/dev/null)\"\n"
                )
            };
            let lines = line(&seen, "") + &line(BY_NAME.0, " --names");
            script.to_owned() + &lines + &words_of_arguments(command)
        }
        Shell::Zsh => {
            let ids: BTreeSet<&str> = taking.iter().map(|(_, id)| *id).collect();
            let mut text = String::with_capacity(script.len() + ZSH.len());
            for (number, line) in script.split_inclusive('\n').enumerate() {
                let is_area = ids.iter().any(|id| {
                    [":", "::", "*:", "*::"].iter().any(|kind| line.starts_with(&format!("'{kind}{id} -- ")))
                });
                let by_name = line.starts_with(&format!("'*::{} -- ", BY_NAME.1));
                let names = if by_name { ":_areas_only_names'" } else { ":_areas_names'" };
                text += &if is_area { line.replace(":_default'", names) } else { line.to_owned() };
                // `#compdef` has to be the first line.
                if number == 0 {
                    text += ZSH;
                }
            }
            text
        }
        _ => script.to_owned(),
    }
}

/// Behind the generated function: names of areas beside what it says of options. What is printed
/// for it holds nothing that a shell would obey.
const BASH: &str = r#"
_areas_with_names() {
    _areas "$@"
    local word command=""
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$word" in
            --) return 0 ;;
            -*) ;;
            *) command="$word"; break ;;
        esac
    done
    word="${COMP_WORDS[COMP_CWORD]}"
    case "$command ${COMP_WORDS[COMP_CWORD-1]}" in
        OPTIONS) return 0 ;;
    esac
    case "$command" in
        COMMANDS)
            if [[ "$word" != -* ]]; then
                local only=()
                [[ "$command" == serve ]] && only=(--names)
                COMPREPLY=( $(compgen -W "$(areas complete-names "${only[@]}" "$word" 2>/dev/null)" -- "$word") )
            fi
            ;;
    esac
}
complete -F _areas_with_names -o bashdefault -o default areas
"#;

const ZSH: &str = r#"
_areas_names() {
    local -a names
    names=(${(f)"$(areas complete-names "$PREFIX" 2>/dev/null)"})
    compadd -a names
}
_areas_only_names() {
    local -a names
    names=(${(f)"$(areas complete-names --names "$PREFIX" 2>/dev/null)"})
    compadd -a names
}
"#;

/// Names of areas, one a line: such that no shell has to quote them, and nothing in them is obeyed.
/// Others by their ids, and all of them where digits are typed. Whatever is wrong with the
/// registry, there is nothing to complete then.
pub(crate) fn names(complete: &CompleteNames) -> Result<ExitCode> {
    let typed = complete.word.as_deref().unwrap_or_default();
    let digits = typed.starts_with(|c: char| c.is_ascii_digit()) && !complete.names;
    let mut words = BTreeSet::new();
    for area in registry::list().map(|listing| listing.areas).unwrap_or_default() {
        match std::str::from_utf8(area.name().as_bytes()) {
            Ok(name) if is_plain(name) => _ = words.insert(name.to_owned()),
            _ if complete.names => {}
            _ => _ = words.insert(area.id().to_string()),
        }
        if digits {
            words.insert(area.id().to_string());
        }
    }
    output::print_raw(&words.into_iter().map(|word| word + "\n").collect::<String>())?;
    Ok(ExitCode::SUCCESS)
}

/// One word in any shell, and a name: no option, and no id.
fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.,+@%/-".contains(c);
    name.chars().all(is_plain) && !name.starts_with('-') && !name.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_words_in_any_shell() {
        for (name, plain) in [
            ("model", true),
            ("a.b-c_d/e@f%2,g+h", true),
            ("17", false),
            ("-x", false),
            ("a b", false),
            ("$(reboot)", false),
            ("a;b", false),
            ("a:b", false),
            ("größe", false),
            ("`x`", false),
            ("~", false),
            ("*", false),
        ] {
            assert_eq!(is_plain(name), plain, "{name}");
        }
    }

    #[test]
    fn commands_that_take_areas_are_known() {
        let command = for_people(Args::command());
        let taking: Vec<&str> = taking_areas(&command).into_iter().map(|(name, _)| name).collect();
        for name in ["ls", "show", "cat", "move", "resize", "doctor", "serve"] {
            assert!(taking.contains(&name), "{name}: {taking:?}");
        }
        assert!(!taking.contains(&"put") && !taking.contains(&"nodes"), "{taking:?}");
    }
}
