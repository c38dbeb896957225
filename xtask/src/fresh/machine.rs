//! What a new machine in this one's place would have: where packages come from, by which proxies,
//! and whose certificates are believed. All of it is read here, at run time; tokens and passwords
//! are left where they are.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// For machines that are not Debian's.
const SUITE: &str = "bookworm";

pub(super) fn is_root() -> bool {
    // /proc/self belongs to the effective user.
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// This machine's Debian release; `None` where it is another system.
pub(super) fn own_suite() -> Option<String> {
    suite_of(&fs::read_to_string("/etc/os-release").unwrap_or_default())
}

/// The same, or the release that other systems take.
pub(super) fn suite() -> String {
    own_suite().unwrap_or_else(|| SUITE.into())
}

fn suite_of(os_release: &str) -> Option<String> {
    let value = |name: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_matches('"').to_owned())
    };
    let is_debian = value("ID=").as_deref() == Some("debian");
    is_debian.then(|| value("VERSION_CODENAME=").unwrap_or_else(|| SUITE.into()))
}

/// What apt is asked here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Apt {
    /// Lines of a `sources.list`; empty where this machine has none for the release.
    pub(super) sources: String,
    /// Where the release itself comes from.
    pub(super) mirror: Option<String>,
    /// Lines of an `apt.conf`: proxies, retries, time limits.
    pub(super) acquire: String,
    pub(super) proxy: Option<String>,
}

/// apt's settings for this release of Debian.
pub(super) fn apt(suite: &str) -> Apt {
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).stdin(Stdio::null()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    let format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
    let targets = said("apt-get", &["indextargets", "--format", format, "Created-By: Packages"]);
    apt_of(suite, &targets, &said("apt-config", &["dump"]))
}

fn apt_of(suite: &str, targets: &str, dump: &str) -> Apt {
    let mut apt = Apt::default();
    let releases = [suite.to_owned(), format!("{suite}-updates"), format!("{suite}-security")];
    for target in targets.lines() {
        let words: Vec<&str> = target.split_whitespace().collect();
        let [from, release, "main"] = words[..] else { continue };
        if releases.iter().any(|known| known == release) {
            apt.sources += &format!("deb {from} {release} main\n");
            if release == suite {
                apt.mirror.get_or_insert_with(|| from.to_owned());
            }
        }
    }
    for line in dump.lines().filter(|line| line.starts_with("Acquire::")) {
        // What apt looks for, and where release notes are, is every apt's own.
        if ["IndexTargets", "Changelogs", "cdrom"]
            .iter()
            .any(|own| line["Acquire::".len()..].starts_with(own))
        {
            continue;
        }
        apt.acquire += &format!("{line}\n");
        let proxy = line.strip_prefix("Acquire::http::Proxy \"").and_then(|rest| rest.strip_suffix("\";"));
        if let Some(proxy) = proxy.filter(|proxy| !proxy.is_empty()) {
            apt.proxy = Some(proxy.to_owned());
        }
    }
    apt
}

/// The tables of cargo's settings that say where crates come from, if there are any.
pub(super) fn cargo_config() -> Result<Option<String>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let Some(home) = home else { return Ok(None) };
    for name in ["config", "config.toml"] {
        let file = home.join(name);
        if let Ok(text) = fs::read_to_string(&file) {
            return cargo_config_of(&text).with_context(|| format!("cannot read {}", file.display()));
        }
    }
    Ok(None)
}

fn cargo_config_of(text: &str) -> Result<Option<String>> {
    let mut config: toml::Table = text.parse()?;
    config.retain(|name, _| ["source", "registries", "registry", "http", "net"].contains(&name));
    without_secrets(&mut config);
    Ok(if config.is_empty() { None } else { Some(config.to_string()) })
}

/// Without tokens, and without files that a new machine does not have.
fn without_secrets(table: &mut toml::Table) {
    table.retain(|name, _| name != "token" && name != "cainfo" && !name.contains("credential"));
    table.iter_mut().filter_map(|(_, value)| value.as_table_mut()).for_each(without_secrets);
}

/// The variables that say how to come to the registries.
pub(super) fn variables() -> Vec<(String, String)> {
    // What is not UTF-8 is none of them.
    let all = std::env::vars_os();
    let mut kept: Vec<_> = all
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| is_carried(name))
        .collect();
    kept.sort();
    kept
}

fn is_carried(name: &str) -> bool {
    let proxies = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];
    let tables = ["CARGO_HTTP_", "CARGO_NET_", "CARGO_SOURCE_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_"];
    let left = ["TOKEN", "CAINFO", "CREDENTIAL"];
    proxies.contains(&name.to_ascii_lowercase().as_str())
        || tables.iter().any(|table| name.starts_with(table)) && !left.iter().any(|word| name.contains(word))
}

/// Certificates that this machine believes beyond Debian's, as `update-ca-certificates` takes them.
pub(super) fn certificates() -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir("/usr/local/share/ca-certificates").into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "crt"));
    files
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, fs::read(entry.path()).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_debians_own_or_the_default() {
        let debian = "PRETTY_NAME=\"Debian\"\nVERSION_CODENAME=trixie\nID=debian\n";
        assert_eq!(suite_of(debian).as_deref(), Some("trixie"));
        assert_eq!(suite_of("ID=debian\n").as_deref(), Some(SUITE));
        assert_eq!(suite_of("ID=other\nVERSION_CODENAME=noble\n"), None);
        assert_eq!(suite_of(""), None);
    }

    #[test]
    fn apt_goes_along_for_the_release() {
        let targets = "http://a.example/debian/ bookworm main\nhttp://b.example/security/ bookworm-security main\n\
                       http://c.example/ bookworm stable\nhttp://a.example/debian/ trixie main\n\n";
        let dump = "APT::Architecture \"amd64\";\nAcquire::http::Proxy \"http://p.example:3128\";\n\
                    Acquire::IndexTargets::deb \"\";\nAcquire::Retries \"3\";\n";
        let expected = Apt {
            sources: "deb http://a.example/debian/ bookworm main\n\
                      deb http://b.example/security/ bookworm-security main\n"
                .into(),
            mirror: Some("http://a.example/debian/".into()),
            acquire: "Acquire::http::Proxy \"http://p.example:3128\";\nAcquire::Retries \"3\";\n".into(),
            proxy: Some("http://p.example:3128".into()),
        };
        assert_eq!(apt_of("bookworm", targets, dump), expected);
        assert_eq!(apt_of("sid", "", ""), Apt::default());
    }

    #[test]
    fn of_cargos_settings_the_registries_go_along() {
        let text = "[build]\nrustc-wrapper = \"x\"\n[http]\nproxy = \"p.example\"\ncainfo = \"/x\"\n\
                    [registries.ours]\nindex = \"sparse+https://r.example/\"\ntoken = \"secret\"\n\
                    [source.crates-io]\nreplace-with = \"ours\"\n[registry]\nglobal-credential-providers = []\n";
        let kept = cargo_config_of(text).unwrap().unwrap();
        for part in ["proxy = ", "[registries.ours]", "replace-with = "] {
            assert!(kept.contains(part), "{kept}");
        }
        for part in ["build", "cainfo", "secret", "credential"] {
            assert!(!kept.contains(part), "{kept}");
        }
        assert_eq!(cargo_config_of("[build]\njobs = 1\n").unwrap(), None);
        assert!(cargo_config_of("[build").is_err());
    }

    #[test]
    fn variables_that_go_along() {
        for name in ["https_proxy", "NO_PROXY", "CARGO_NET_RETRY", "CARGO_REGISTRIES_OURS_INDEX"] {
            assert!(is_carried(name), "{name}");
        }
        for name in ["PATH", "CARGO_HOME", "CARGO_REGISTRY_TOKEN", "CARGO_HTTP_CAINFO", "RUST_BACKTRACE"] {
            assert!(!is_carried(name), "{name}");
        }
    }
}
