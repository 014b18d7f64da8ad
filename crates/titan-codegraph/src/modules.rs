//! Which file a module's name stands for.

use crate::flow::{Module, Modules};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The modules of a folder's Python files.
pub(crate) struct PythonModules<'a> {
    paths: Vec<&'a str>,
    /// Files by their path without an ending; packages by their folder.
    files: HashMap<&'a str, usize>,
    folders: HashSet<&'a str>,
    packages: HashSet<&'a str>,
    /// Files by their last part.
    ends: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> PythonModules<'a> {
    /// Of these files; those of other languages are passed over.
    pub(crate) fn new(paths: impl Iterator<Item = &'a str>) -> Self {
        let paths: Vec<&str> = paths.collect();
        let mut modules = Self {
            paths: paths.clone(),
            files: HashMap::new(),
            folders: HashSet::new(),
            packages: HashSet::new(),
            ends: BTreeMap::new(),
        };
        for (at, path) in paths.iter().enumerate() {
            let Some(module) = module_path(path) else {
                continue;
            };
            if file_name(path).starts_with("__init__.") {
                modules.packages.insert(module);
            }
            modules.files.entry(module).or_insert(at);
            modules.ends.entry(file_name(module)).or_default().push(at);
            let mut folder = parent(path);
            while modules.folders.insert(folder) && !folder.is_empty() {
                folder = parent(folder);
            }
        }
        modules
    }

    fn at(&self, path: &str) -> Module {
        match self.files.get(path) {
            Some(file) => Module::File(*file),
            None if !path.is_empty() && self.folders.contains(path) => Module::Folder(path.into()),
            None => Module::External,
        }
    }

    /// Folders from which a file's absolute imports are looked for, the likeliest first.
    fn roots(&self, path: &'a str) -> Vec<&'a str> {
        let own = parent(path);
        let mut top = own;
        while self.packages.contains(top) && !top.is_empty() {
            top = parent(top);
        }
        let mut roots = vec![top];
        let mut above = top;
        while !above.is_empty() {
            above = parent(above);
            roots.push(above);
        }
        roots
    }

    /// The one file that is called so from some folder that is no package.
    fn only(&self, wanted: &str) -> Module {
        let ends_so = |at: &&usize| {
            let module = module_path(self.paths[**at]).unwrap_or_default();
            module
                .strip_suffix(wanted)
                .and_then(|before| before.strip_suffix('/'))
                .is_some_and(|root| !self.packages.contains(root))
        };
        let candidates = self.ends.get(file_name(wanted));
        let mut found = candidates.into_iter().flatten().filter(ends_so);
        match (found.next(), found.next()) {
            (Some(only), None) => Module::File(*only),
            _ => Module::External,
        }
    }
}

impl Modules for PythonModules<'_> {
    fn resolve(&self, file: usize, module: &str, dots: u32) -> Module {
        let path = self.paths[file];
        let below = module.replace('.', "/");
        if dots > 0 {
            let mut folder = parent(path);
            for _ in 1..dots {
                folder = parent(folder);
            }
            return self.at(&join(folder, &below));
        }
        let found = self
            .roots(path)
            .into_iter()
            .map(|root| self.at(&join(root, &below)))
            .find(|found| *found != Module::External);
        found.unwrap_or_else(|| self.only(&below))
    }

    fn within(&self, module: &Module, name: &str) -> Module {
        match module {
            Module::File(file) if file_name(self.paths[*file]).starts_with("__init__.") => {
                self.at(&join(parent(self.paths[*file]), name))
            }
            Module::Folder(folder) => self.at(&join(folder, name)),
            _ => Module::External,
        }
    }
}

/// A file of Python's path without its ending, and without the name of a package's own file.
fn module_path(path: &str) -> Option<&str> {
    let (stem, ending) = path.rsplit_once('.').unwrap_or((path, ""));
    match ending {
        "py" | "pyi" => Some(match file_name(stem) {
            "__init__" => parent(stem),
            _ => stem,
        }),
        _ => None,
    }
}

/// The name of a file's module as an import at the root would write it.
pub fn python_module(path: &str) -> Option<String> {
    module_path(path).map(|module| module.replace('/', "."))
}

pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A path below a folder, with `.` and `..` gone through.
pub(crate) fn join(folder: &str, below: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in below.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_from_where_it_is_named() {
        let paths = [
            "app/__init__.py",
            "app/core/__init__.py",
            "app/core/util.py",
            "lib/tools/deep.py",
            "main.py",
        ];
        let modules = PythonModules::new(paths.into_iter());
        let resolve = |file, module, dots| modules.resolve(file, module, dots);
        assert_eq!(resolve(4, "app.core.util", 0), Module::File(2));
        assert_eq!(resolve(2, "", 2), Module::File(0));
        assert_eq!(resolve(2, "util", 1), Module::File(2));
        assert_eq!(resolve(2, "main", 0), Module::File(4));
        assert_eq!(
            resolve(4, "lib.tools", 0),
            Module::Folder("lib/tools".into())
        );
        assert_eq!(resolve(4, "tools.deep", 0), Module::File(3));
        // A sibling within a package is not what its bare name means.
        assert_eq!(resolve(2, "util", 0), Module::External);
        assert_eq!(modules.within(&Module::File(0), "core"), Module::File(1));
    }
}
