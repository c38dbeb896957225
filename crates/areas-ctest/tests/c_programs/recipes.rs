//! The recipes of `examples/recipes/`: areas as the memory of io_uring, OpenCL and UCX. Each is a
//! test where its library is installed, with `libareas.so`, and says SKIPPED where it is not.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use areas_ctest::folders::capi;
use areas_ctest::recipes::{RECIPES, Recipe};
use areas_ctest::toolchain::{Language, Toolchain, quiet, started, watch};

use super::{Outcome, Test};

/// PoCL compiles a kernel at its first use.
const LIMIT: Duration = Duration::from_secs(240);
/// What a program returns that cannot run here.
const SKIPPED: i32 = 77;

/// One test a recipe.
pub(super) fn tests() -> Vec<Test> {
    let test = |recipe: &'static Recipe| {
        Test::new(format!("recipes/{}", recipe.file), |toolchain| {
            one(toolchain, recipe).unwrap_or_else(|why| Outcome::of(Err(why)))
        })
    };
    RECIPES.iter().map(test).collect()
}

fn one(toolchain: &Toolchain, recipe: &Recipe) -> Result<Outcome> {
    if !recipe.is_installed() {
        return Ok(Outcome::Skipped(format!("{} is not here (Debian: {})", recipe.header, recipe.packages)));
    }
    let program = toolchain.work.join(format!("recipe-{}", recipe.file.replace('.', "-")));
    let library = toolchain.shared.parent().unwrap_or(Path::new("."));
    let mut command = Language::C11.compiler();
    command.args(["-g", "-O1", "-D_GNU_SOURCE", "-I"]).arg(capi().join("include"));
    command.arg(capi().join("examples/recipes").join(recipe.file)).arg("-o").arg(&program);
    command.arg("-L").arg(library).arg("-lareas").arg(format!("-Wl,-rpath,{}", library.display()));
    quiet(command.args(recipe.links))?;
    let registry = program.with_extension("registry");
    let _ = fs::remove_dir_all(&registry);
    let mut command = started(&program);
    command.current_dir(&toolchain.work).env("AREAS_DIR", &registry);
    let (status, said) = watch(&mut command, &program.with_extension("log"), LIMIT)?;
    let _ = fs::remove_dir_all(&registry);
    let Some(status) = status else { bail!("it was still running after {LIMIT:?}\n{said}") };
    Ok(match status.code() {
        Some(0) => Outcome::Passed,
        Some(SKIPPED) => match said.lines().rev().find_map(|line| line.strip_prefix("SKIPPED: ")) {
            Some(why) => Outcome::Skipped(why.to_owned()),
            None => Outcome::Failed("it skipped and did not say why".to_owned()),
        },
        _ => Outcome::Failed(format!("{said}({status})")),
    })
}
