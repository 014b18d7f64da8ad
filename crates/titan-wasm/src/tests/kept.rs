//! Compiled components and the shelf, with somebody else's hands in them.

use super::{Place, config, text};
use crate::{Shelf, ShelfError, WasmHost};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use titan_testkit::component::{Guest, run};

impl Place {
    fn artefacts(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join("artefacts")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some());
        paths
    }

    /// The file of the adder, whose call is then tried again after something was done to it.
    fn adder(&self) -> PathBuf {
        self.load(&Guest::adder());
        let [path] = &self.artefacts()[..] else {
            panic!("there is one artefact");
        };
        path.clone()
    }

    fn still_adds(&self) {
        assert_eq!(text(self.add(4, 5)), "9");
    }
}

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn s6_a_component_is_compiled_once_into_a_closed_folder() {
    let place = Place::new();
    let path = place.adder();
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    place.still_adds();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    place.host.forget(&Guest::adder().bytes()).unwrap();
    assert_eq!(place.artefacts(), Vec::<PathBuf>::new());
}

#[test]
fn s6_nothing_is_kept_of_a_component_that_is_run_once() {
    let place = Place::new();
    let once = place.host.load_once(&Guest::adder().bytes()).unwrap();
    let sum = once.call(r#"{"a":4,"b":5}"#, &std::sync::Arc::default());
    assert_eq!(text(sum), "9");
    drop(once);
    assert_eq!(place.artefacts(), Vec::<PathBuf>::new());
    // What was kept of it before is not used either.
    let kept = place.adder();
    fs::write(kept, b"damaged").unwrap();
    assert!(place.host.load_once(&Guest::adder().bytes()).is_ok());
}

#[test]
fn s6_an_artefact_that_was_changed_in_any_bit_is_made_anew() {
    let place = Place::new();
    let path = place.adder();
    let whole = fs::read(&path).unwrap();
    let places = [0, 31, 32, 33, whole.len() / 2, whole.len() - 1];
    for at in places {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        place.still_adds();
        assert_eq!(fs::read(&path).unwrap(), whole, "byte {at}");
    }
    for end in [0, 1, 31, 32, whole.len() - 1] {
        fs::write(&path, &whole[..end]).unwrap();
        place.still_adds();
    }
}

#[test]
fn s6_an_artefact_of_somebody_else_is_not_taken() {
    let evil = Guest {
        name: "add".to_owned(),
        ..Guest::new("add", &run("unreachable"))
    };
    let theirs = Place::new();
    theirs.load(&evil);
    let of_another_home = fs::read(&theirs.artefacts()[0]).unwrap();
    let place = Place::new();
    let path = place.adder();
    let ours = fs::read(&path).unwrap();
    fs::write(&path, of_another_home).unwrap();
    place.still_adds();
    // Our own, of another component.
    place.load(&evil);
    let other = place
        .artefacts()
        .into_iter()
        .find(|other| *other != path)
        .unwrap();
    fs::copy(other, &path).unwrap();
    place.still_adds();
    assert_eq!(fs::read(&path).unwrap(), ours);
}

#[test]
fn s6_links_and_files_that_others_may_change_are_not_taken() {
    let place = Place::new();
    let path = place.adder();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    place.still_adds();
    assert_eq!(mode(&path), 0o600);
    let elsewhere = place.folder.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    place.still_adds();
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}

#[test]
fn s6_a_folder_that_others_may_write_into_and_a_damaged_key_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let artefacts = config(&folder).artefacts;
    drop(WasmHost::open(config(&folder)).unwrap());
    let told = || {
        WasmHost::open(config(&folder))
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    fs::write(artefacts.join("key"), b"short").unwrap();
    assert!(told().contains("key is damaged"), "{}", told());
    fs::set_permissions(&artefacts, fs::Permissions::from_mode(0o770)).unwrap();
    assert!(told().contains("chmod 700"), "{}", told());
    fs::remove_dir_all(&artefacts).unwrap();
    symlink(folder.path(), &artefacts).unwrap();
    assert!(told().contains("chmod 700"), "{}", told());
}

#[test]
fn a_shelf_keeps_components_closed_to_others_and_no_name_leads_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(folder.path().join("tools"));
    assert_eq!(shelf.names().unwrap(), Vec::<String>::new());
    shelf.add("add", b"one").unwrap();
    assert!(matches!(
        shelf.add("add", b"two"),
        Err(ShelfError::Taken(_))
    ));
    assert_eq!(shelf.read("add").unwrap(), b"one");
    let path = folder.path().join("tools/add.wasm");
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    fs::write(folder.path().join("secret.wasm"), b"x").unwrap();
    for name in ["../secret", "/etc/passwd", "", ".", "add/../../secret"] {
        assert!(
            matches!(shelf.read(name), Err(ShelfError::Absent(_))),
            "{name}"
        );
        assert!(
            matches!(shelf.remove(name), Err(ShelfError::Absent(_))),
            "{name}"
        );
        assert!(shelf.add(name, b"x").is_err(), "{name}");
    }
    symlink("../secret.wasm", folder.path().join("tools/link.wasm")).unwrap();
    assert!(matches!(shelf.read("link"), Err(ShelfError::Broken { .. })));
    shelf.remove("add").unwrap();
    assert!(matches!(shelf.read("add"), Err(ShelfError::Absent(_))));
}
