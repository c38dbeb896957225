//! Each rule of the storm can fail: it is broken on purpose, and the storm says so.

use std::process::Command;

/// A storm of some seconds in which something is broken; what it says is not so.
fn broken(sabotage: &str, more: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_areas-storm"))
        .args(["--processes", "4", "--seed", "7", "--sabotage", sabotage])
        .args(more)
        .output()
        .expect("areas-storm runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[track_caller]
fn is_found(sabotage: &str, minutes: &str, rule: &str) {
    let (good, said) = broken(sabotage, &["--minutes", minutes]);
    assert!(!good && said.contains(&format!("not so: {rule}")), "{sabotage}: {said}");
}

#[test]
fn a_wrong_byte() {
    is_found("byte", "0.1", "every byte carries its area's pattern");
}

#[test]
fn an_id_that_leads_elsewhere() {
    is_found("id", "0.15", "an id leads to the object that its creator recorded");
}

#[test]
fn an_id_that_leads_nowhere() {
    is_found("absent", "0.15", "what is published and held is found");
}

#[test]
fn a_dead_name_that_is_found() {
    is_found("dead-name", "0.1", "a dead process's areas are never found");
}

#[test]
fn an_error_that_no_other_process_caused() {
    is_found("error", "0.03", "no error but those that others can cause");
}

#[test]
fn an_operation_that_hangs() {
    let (good, said) = broken("hang", &["--minutes", "0.1", "--deadline", "2"]);
    assert!(!good && said.contains("not so: no operation hangs"), "{said}");
    assert!(said.contains("is in \"check\" since") && said.contains("wchan: "), "{said}");
}

#[test]
fn an_area_that_is_not_given_back() {
    is_found("leak", "0.03", "what is dropped is neither mapped nor open");
}

#[test]
fn a_death_that_was_not_planned() {
    is_found("crash", "0.03", "no process dies but as planned");
    is_found("panic", "0.03", "no process dies but as planned");
}

#[test]
fn a_process_that_does_not_lock() {
    is_found("lock", "0.15", "one at a time is inside, and a death there is reported");
}

#[test]
fn a_process_that_keeps_an_area() {
    is_found("holder", "0.03", "nothing remains");
}

#[test]
fn a_file_in_the_folder() {
    is_found("folder", "0.03", "nothing remains");
}
