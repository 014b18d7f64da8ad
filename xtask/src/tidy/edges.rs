//! Checks which crate knows which, against the lists in the parent.

use super::{DEV_EDGES, Dependency, EDGES, HOMES, LICENSE, Package};
use serde_json::Value;

pub(super) fn check(packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages {
        let name = &package.name;
        if package.license != LICENSE {
            complaints.push(format!("{name} does not say `license = \"{LICENSE}\"`"));
        }
        for dependency in &package.dependencies {
            let other = &dependency.name;
            let is_own = packages.iter().any(|package| package.name == *other);
            if is_own && !may_know(name, dependency) {
                complaints.push(format!(
                    "{name} → {other} is no edge of the design (xtask/src/tidy.rs)"
                ));
            }
            let home = HOMES.iter().find(|(heavy, _)| heavy == other);
            if let Some((_, home)) = home.filter(|(_, home)| home != name) {
                complaints.push(format!("{name} names {other}, whose home is {home}"));
            }
        }
    }
    complaints
}

fn may_know(package: &str, dependency: &Dependency) -> bool {
    let other = dependency.name.as_str();
    let holds = |(from, to): &(&str, &str)| {
        (*from == package || *from == "*") && (*to == other || *to == "*")
    };
    EDGES.iter().any(holds) || (dependency.is_dev && DEV_EDGES.iter().any(holds))
}

/// The crates in the output of `cargo metadata`.
pub(super) fn packages(metadata: &Value) -> Vec<Package> {
    list(&metadata["packages"]).map(package).collect()
}

fn package(package: &Value) -> Package {
    let manifest = std::path::PathBuf::from(text(&package["manifest_path"]));
    Package {
        name: text(&package["name"]),
        folder: manifest.parent().map(Into::into).unwrap_or_default(),
        license: text(&package["license"]),
        dependencies: list(&package["dependencies"]).map(dependency).collect(),
        sources: list(&package["targets"])
            .map(|target| text(&target["src_path"]).into())
            .collect(),
    }
}

fn dependency(dependency: &Value) -> Dependency {
    Dependency {
        name: text(&dependency["name"]),
        is_dev: dependency["kind"] == "dev",
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(name: &str, dependencies: &[(&str, bool)]) -> Vec<Package> {
        let others = [
            "titan-protocol",
            "titan-testkit",
            "titan-exec",
            "titan-store",
            "titan-tools",
        ];
        let plain = |name: &str| Package {
            name: name.to_owned(),
            license: LICENSE.to_owned(),
            ..Package::default()
        };
        let mut packages: Vec<Package> = others.map(plain).to_vec();
        packages.retain(|package| package.name != name);
        packages.push(Package {
            dependencies: dependencies
                .iter()
                .map(|(name, is_dev)| Dependency {
                    name: (*name).to_owned(),
                    is_dev: *is_dev,
                })
                .collect(),
            ..plain(name)
        });
        packages
    }

    fn check_edge(from: &str, to: &str, is_dev: bool, expected: &[&str]) {
        assert_eq!(check(&workspace(from, &[(to, is_dev)])), expected);
    }

    #[test]
    fn an_edge_that_is_not_listed_is_named() {
        check_edge("titan-agent", "titan-exec", false, &[]);
        check_edge("titan-agent", "titan-tools", true, &[]);
        check_edge("titan-tools", "titan-testkit", true, &[]);
        check_edge("titanclaw", "titan-store", false, &[]);
        check_edge("titan-exec", "serde", false, &[]);
        let no_edge = |edge: &str| format!("{edge} is no edge of the design (xtask/src/tidy.rs)");
        for (from, to) in [
            ("titan-agent", "titan-store"),
            ("titan-agent", "titan-tools"),
            ("titan-exec", "titan-testkit"),
            ("titan-store", "titan-exec"),
        ] {
            check_edge(from, to, false, &[&no_edge(&format!("{from} → {to}"))]);
        }
    }

    #[test]
    fn a_heavy_crate_outside_its_home_is_named() {
        check_edge("titan-store", "libsql", false, &[]);
        let complaint = "titan-exec names libsql, whose home is titan-store";
        check_edge("titan-exec", "libsql", true, &[complaint]);
    }

    #[test]
    fn a_crate_without_the_licence_is_named() {
        let mut packages = workspace("titan-tools", &[]);
        packages[0].license = String::new();
        let complaint = "titan-protocol does not say `license = \"MIT OR Apache-2.0\"`";
        assert_eq!(check(&packages), [complaint]);
    }
}
