//! The recipes of `examples/recipes/`: areas as the memory of io_uring, OpenCL and UCX. Each is a
//! test where its library is installed, with `libareas.so`, and says SKIPPED where it is not.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use areas_ctest::folders::capi;
use areas_ctest::recipes::{RECIPES, Recipe};
use areas_ctest::toolchain::{Language, Toolchain, quiet, started};

use super::{Outcome, Test, ended};

/// PoCL compiles a kernel at its first use.
const LIMIT: Duration = Duration::from_secs(240);

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
    let mut command = started(&program);
    command.current_dir(&toolchain.work);
    ended(command, &program, LIMIT)
}
