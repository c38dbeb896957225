//! A crate as its modules, and what each of them names of the others: read from the source, tests
//! left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, Macro, UseTree};

/// Names from the crate's root down to something; of the root itself there are none.
pub(super) type Names = Vec<String>;

/// Import chains are short; whatever leads on longer leads in a circle.
const MAX_REEXPORTS: usize = 16;

/// One module.
#[derive(Debug, Default)]
pub(super) struct Module {
    pub(super) file: PathBuf,
    /// What it defines, modules apart.
    items: BTreeSet<String>,
    /// What it imports, by the name that it has here: where it comes from.
    imports: BTreeMap<String, Names>,
    /// Whose items it imports all.
    globs: Vec<Names>,
    /// Every path that it has written down, as it stands there.
    paths: Vec<Names>,
}

/// The modules of a crate, by their names.
#[derive(Debug, Default)]
pub(super) struct Crate {
    pub(super) modules: BTreeMap<Names, Module>,
}

impl Crate {
    /// Reads the crate whose first file is `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut modules = Self::default();
        let folder = root.parent().context("a crate's first file is in a folder")?;
        modules.file(root, folder, Vec::new())?;
        Ok(modules)
    }

    fn file(&mut self, file: &Path, folder: &Path, names: Names) -> Result<()> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let parsed = syn::parse_file(&text).with_context(|| format!("cannot parse {}", file.display()))?;
        self.items(&parsed.items, file, folder, names)
    }

    /// Takes in a module; those that it declares in files of their own are in `folder`.
    fn items(&mut self, items: &[Item], file: &Path, folder: &Path, names: Names) -> Result<()> {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        for item in items.iter().filter(|item| !for_tests(attributes(item))) {
            let Item::Mod(declared) = item else {
                module.take(item);
                continue;
            };
            let name = declared.ident.to_string();
            let inner = [names.as_slice(), std::slice::from_ref(&name)].concat();
            if let Some((_, items)) = &declared.content {
                self.items(items, file, &folder.join(&name), inner)?;
                continue;
            }
            let candidates = match path_attribute(&declared.attrs) {
                Some(path) => vec![file.parent().unwrap_or(folder).join(path)],
                None => vec![folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")],
            };
            let Some(found) = candidates.iter().find(|candidate| candidate.exists()) else {
                bail!("{} declares `mod {name};`, which is in none of {candidates:?}", file.display());
            };
            self.file(found, &folder.join(&name), inner)?;
        }
        self.modules.insert(names, module);
        Ok(())
    }

    /// What the modules name of each other, resolved to the module that has it: from, to.
    pub(super) fn edges(&self) -> BTreeSet<(&Names, &Names)> {
        let mut edges = BTreeSet::new();
        for (names, module) in &self.modules {
            let imported = module.imports.values().chain(&module.globs).chain(&module.paths);
            let used = imported.filter_map(|path| self.resolve(names, path, 0));
            edges.extend(used.filter(|to| *to != names).map(|to| (names, to)));
        }
        edges
    }

    /// The module that has what `path` means in the module `from`; none if it is another crate's.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<&Names> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.walk(&[], rest, depth),
            "self" => self.walk(from, rest, depth),
            "super" => self.resolve_above(from, rest, depth),
            _ => {
                let module = self.modules.get(from)?;
                let child = [from, std::slice::from_ref(first)].concat();
                if self.modules.contains_key(&child) {
                    return self.walk(&child, rest, depth);
                }
                let known = module.imports.get(first).filter(|target| *target != path)?;
                let whole = [known.as_slice(), rest].concat();
                (depth < MAX_REEXPORTS).then(|| self.resolve(from, &whole, depth + 1)).flatten()
            }
        }
    }

    fn resolve_above(&self, from: &[String], rest: &[String], depth: usize) -> Option<&Names> {
        let (_, above) = from.split_last()?;
        match rest.first().map(String::as_str) {
            Some("super") => self.resolve_above(above, &rest[1..], depth),
            _ => self.walk(above, rest, depth),
        }
    }

    /// From a module along names, through what is re-exported on the way.
    fn walk(&self, from: &[String], names: &[String], depth: usize) -> Option<&Names> {
        let (at, module) = self.modules.get_key_value(from)?;
        let Some((first, rest)) = names.split_first() else { return Some(at) };
        let child = [from, std::slice::from_ref(first)].concat();
        if self.modules.contains_key(&child) {
            return self.walk(&child, rest, depth);
        }
        if module.items.contains(first) || depth >= MAX_REEXPORTS {
            return Some(at);
        }
        if let Some(target) = module.imports.get(first) {
            let whole = [target.as_slice(), rest].concat();
            return self.resolve(from, &whole, depth + 1);
        }
        let globs = module.globs.iter().filter_map(|glob| self.resolve(from, glob, depth + 1));
        let has = |glob: &&Names| {
            let there = &self.modules[*glob];
            there.items.contains(first) || there.imports.contains_key(first)
        };
        match globs.into_iter().find(has) {
            Some(glob) => self.walk(glob, names, depth + 1),
            None => Some(at),
        }
    }
}

impl Module {
    fn take(&mut self, item: &Item) {
        let name = match item {
            Item::Use(import) => {
                self.import(import);
                return;
            }
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::TraitAlias(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            Item::Macro(item) => item.ident.as_ref(),
            _ => None,
        };
        self.items.extend(name.map(ToString::to_string));
        self.visit_item(item);
    }

    fn import(&mut self, import: &ItemUse) {
        if import.leading_colon.is_some() {
            return;
        }
        let mut found = Vec::new();
        flatten(&import.tree, &mut Vec::new(), &mut found);
        for (path, name) in found {
            // Two functions may import two things under one name.
            self.paths.push(path.clone());
            match name {
                Some(name) => {
                    self.imports.insert(name, path);
                }
                None => self.globs.push(path),
            }
        }
    }

    /// Paths in what a macro is given, which is not parsed: names with colons in between.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Names = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if colons == 2 || path.is_empty() => {
                    path.push(name.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(name) => {
                    self.paths.push(std::mem::replace(&mut path, vec![name.to_string()]));
                    colons = 0;
                    continue;
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
            self.paths.push(std::mem::take(&mut path));
            colons = 0;
        }
        self.paths.push(path);
        self.paths.retain(|path| path.len() > 1);
    }
}

impl<'a> Visit<'a> for Module {
    fn visit_path(&mut self, path: &'a syn::Path) {
        let names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path.leading_colon.is_none() && names.len() > 1 {
            self.paths.push(names);
        }
        visit::visit_path(self, path);
    }

    /// An import inside a function: known in all of the module, which is more than it is, and no
    /// less.
    fn visit_item_use(&mut self, import: &'a ItemUse) {
        self.import(import);
    }

    fn visit_macro(&mut self, called: &'a Macro) {
        self.tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }

    fn visit_item(&mut self, item: &'a Item) {
        if !for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }
}

fn flatten(tree: &UseTree, so_far: &mut Names, found: &mut Vec<(Names, Option<String>)>) {
    match tree {
        UseTree::Path(path) => {
            so_far.push(path.ident.to_string());
            flatten(&path.tree, so_far, found);
            so_far.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            found.push((so_far.clone(), so_far.last().cloned()));
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            found.push(([so_far.as_slice(), std::slice::from_ref(&name)].concat(), Some(name)));
        }
        UseTree::Rename(rename) => {
            let mut path = so_far.clone();
            if rename.ident != "self" {
                path.push(rename.ident.to_string());
            }
            // A trait that is imported for its methods alone still comes from somewhere.
            let name = if rename.rename == "_" { path.join("::") } else { rename.rename.to_string() };
            found.push((path, Some(name)));
        }
        UseTree::Glob(_) => found.push((so_far.clone(), None)),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, so_far, found)),
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether something is there for tests alone, or for the fuzzer.
fn for_tests(attributes: &[Attribute]) -> bool {
    let mut configured = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    configured.any(|attribute| {
        let mut names = Vec::new();
        // `not(test)` is there for all others.
        let _ = attribute.parse_nested_meta(|meta| {
            names.extend(meta.path.get_ident().map(ToString::to_string));
            if meta.path.is_ident("all") {
                meta.parse_nested_meta(|meta| {
                    names.extend(meta.path.get_ident().map(ToString::to_string));
                    Ok(())
                })?;
            }
            Ok(())
        });
        names.iter().any(|name| name == "test" || name == "fuzzing")
    })
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.path().is_ident("path"))?;
    let syn::Meta::NameValue(value) = &attribute.meta else { return None };
    let syn::Expr::Lit(literal) = &value.value else { return None };
    let syn::Lit::Str(text) = &literal.lit else { return None };
    Some(text.value())
}
