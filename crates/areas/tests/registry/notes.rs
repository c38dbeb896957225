//! Notes: what a holder publishes beside an area.

use areas::{Area, ErrorKind, Note, registry};

use crate::support::{Agent, Folder, Held, refused};

fn note_of(agent: &mut Agent, name: &str) -> String {
    agent.ask(&format!("note of {name}"))
}

#[test]
fn who_finds_an_area_reads_its_note() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = Held::parse(&holder.ask("note publish frames u1(2,2048)"));
    assert_eq!(note_of(&mut reader, "frames"), "u1(2,2048)");
    // The reader has met it, and looks for it in another way than the first time.
    for note in ["f8", "a longer one with blanks", "", "\u{fc}ber"] {
        holder.ask(&format!("note set {} {note}", area.handle));
        assert_eq!(note_of(&mut reader, "frames"), note);
        assert_eq!(note_of(&mut holder, "frames"), note);
        assert_eq!(note_of(&mut Agent::start(&folder), "frames"), note);
        assert_eq!(holder.ask(&format!("note own {}", area.handle)), note);
    }
    assert_eq!(reader.find("frames").unwrap().id, area.id.unwrap());
}

#[test]
fn a_clone_has_its_sources_note_and_goes_on_with_it() {
    let folder = Folder::new();
    let (mut source, mut holder) = (Agent::start(&folder), Agent::start(&folder));
    let area = Held::parse(&source.ask("note publish frames u1"));
    let clone = Held::parse(&holder.ask("note clone frames"));
    let other = Held::parse(&holder.ask("note clone frames f4"));
    assert_eq!(holder.ask(&format!("note own {}", clone.handle)), "u1");
    // The clone's is its own.
    source.ask(&format!("note set {} u2", area.handle));
    let mut reader = Agent::start(&folder);
    assert_eq!(note_of(&mut reader, "frames"), "u2");
    source.kill();
    assert_eq!(note_of(&mut reader, "frames"), "u1");
    holder.drop_area(clone);
    assert_eq!(note_of(&mut reader, "frames"), "f4");
    holder.drop_area(other);
    refused(reader.find("frames"), ErrorKind::NoSuchArea);
}

#[test]
fn a_forked_child_publishes_the_note_too() {
    let folder = Folder::new();
    let mut holder = Agent::start(&folder);
    let area = Held::parse(&holder.ask("note publish frames first"));
    holder.ask(&format!("note set {} second", area.handle));
    let mut child = holder.fork();
    child.keep().unwrap();
    holder.kill();
    assert_eq!(note_of(&mut Agent::start(&folder), "frames"), "second");
}

#[test]
fn a_note_is_never_torn() {
    const MILLIS: u32 = 700;
    for name in ["frames".to_owned(), "long-".repeat(51)] {
        let folder = Folder::new();
        let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
        let area = Held::parse(&holder.ask(&format!("note publish {name} \0")));
        holder.begin(&format!("note turn {} {MILLIS}", area.handle));
        let seen: usize = reader.ask(&format!("note watch {name} {}", MILLIS - 100)).parse().unwrap();
        assert!(seen > 3, "{seen} different notes were seen");
        let turns: u64 = holder.end().unwrap().parse().unwrap();
        assert!(turns > 100, "{turns} notes were set");
    }
}

/// Stopped anywhere in the middle of setting notes, a holder shows one that was set.
#[test]
fn a_holder_who_is_stopped_shows_a_whole_note() {
    use rustix::process::Signal;
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let area = Held::parse(&holder.ask("note publish frames \0"));
    holder.begin(&format!("note turn {} 1500", area.handle));
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(7));
        holder.signal(Signal::STOP);
        reader.ask("note watch frames 20");
        assert!(Agent::start(&folder).try_ask("note watch frames 1").is_ok());
        holder.signal(Signal::CONT);
    }
    holder.end().unwrap();
}

#[test]
fn a_transferred_area_has_its_note() {
    let name = format!("note-transferred-{}", std::process::id());
    let area = areas::builder(4096).name(&name).note(b"\x00\xff").shared().unwrap();
    let areas::Transfer::Own(mut area) = area.transfer(std::process::id(), areas::Address::Any).unwrap()
    else {
        panic!("it is this process's own")
    };
    assert_eq!(registry::find(&name).unwrap().note().as_bytes(), b"\x00\xff");
    area.set_note("after").unwrap();
    assert_eq!(registry::find(&name).unwrap().note().as_bytes(), b"after");
    let frozen = area.freeze().unwrap();
    assert_eq!(registry::find(&name).unwrap().open_frozen().unwrap().note().as_bytes(), b"after");
    drop(frozen);
}

#[test]
fn a_note_too_long_changes_nothing() {
    let name = format!("note-too-long-{}", std::process::id());
    let builder = areas::builder(4096).name(&name).note([7; Note::MAX + 1]);
    assert_eq!(builder.shared().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(registry::find(&name).unwrap_err().kind(), ErrorKind::NoSuchArea);
    let mut area = areas::builder(4096).name(&name).note([7; Note::MAX]).shared().unwrap();
    assert_eq!(area.set_note([8; Note::MAX + 1]).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(registry::find(&name).unwrap().note().as_bytes(), [7; Note::MAX]);
    assert_eq!(areas::builder(4096).note("x").private().unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// It waits for the name.
#[test]
fn a_note_is_published_with_the_area() {
    let name = format!("note-later-{}", std::process::id());
    let mut area: Area<_> = areas::builder(4096).note("before").shared().unwrap();
    assert_eq!(area.note().as_bytes(), b"before");
    area.set_note("then").unwrap();
    area.publish(&name).unwrap();
    assert_eq!(registry::find(&name).unwrap().info().unwrap().note.as_bytes(), b"then");
    let resizable = areas::builder(4096).note("r").name(format!("{name}r")).resizable(8192).unwrap();
    let found = registry::find(format!("{name}r")).unwrap();
    assert_eq!(found.note().as_bytes(), b"r");
    let mut clone = found.open_resizable().unwrap();
    drop(resizable);
    assert_eq!(clone.note().as_bytes(), b"r");
    clone.set_note("").unwrap();
    assert!(clone.note().is_empty());
}
