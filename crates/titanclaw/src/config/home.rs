//! The one folder that holds a person's engine.

use super::env::Env;
use super::trust::TrustFile;
use anyhow::{Context as _, bail};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A home: config, store, blobs, logs, the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// The home that the flag, the environment or the default names, in that order. Nothing is touched.
    ///
    /// # Errors
    /// When none is named and the person has no home folder.
    pub(crate) fn locate(flag: Option<&Path>, env: &Env) -> anyhow::Result<Self> {
        let path = flag
            .map(Path::to_owned)
            .or_else(|| env.home.clone())
            .or_else(|| Some(env.user_home.as_ref()?.join(".titanclaw")))
            .context("there is no home folder, since HOME is not set. Name one with --home DIR")?;
        let path = std::path::absolute(&path)
            .with_context(|| format!("the home {} has no absolute path", path.display()))?;
        Ok(Self(path))
    }

    /// Makes the folder where it is missing, closed to others.
    ///
    /// # Errors
    /// When it can't be made, is a link, belongs to somebody else, or others may write into it.
    pub(crate) fn prepare(&self) -> anyhow::Result<()> {
        let cause = || format!("the home {} can't be made", self.0.display());
        for folder in [self.0.clone(), self.logs()] {
            if !folder.exists() {
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&folder)
                    .with_context(cause)?;
            }
        }
        if let Some(problem) = self.problem().with_context(cause)? {
            bail!("{problem}");
        }
        Ok(())
    }

    /// Says so where something else than a folder is in the home's place.
    ///
    /// # Errors
    /// When there is something that is not a folder.
    pub(crate) fn must_be_a_folder(&self) -> anyhow::Result<()> {
        match std::fs::metadata(&self.0) {
            Ok(found) if !found.is_dir() => bail!(
                "the home {} is not a folder. Name another with --home",
                self.0.display()
            ),
            _ => Ok(()),
        }
    }

    /// What makes the home unsafe, with the way to mend it.
    pub(crate) fn problem(&self) -> std::io::Result<Option<String>> {
        let shown = self.0.display();
        let found = std::fs::symlink_metadata(&self.0)?;
        if found.is_symlink() {
            return Ok(Some(format!(
                "the home {shown} is a link, which somebody could turn elsewhere. Name the real folder with --home"
            )));
        }
        if !found.is_dir() {
            return Ok(Some(format!(
                "the home {shown} is not a folder. Name another with --home"
            )));
        }
        if found.uid() != rustix::process::getuid().as_raw() {
            return Ok(Some(format!(
                "the home {shown} belongs to another user. Name another with --home"
            )));
        }
        if found.permissions().mode() & 0o077 != 0 {
            return Ok(Some(format!(
                "the home {shown} is open to other users. Close it: chmod 700 {shown}"
            )));
        }
        Ok(None)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The names of the files in it that the person wrote or answered, which a backup takes along.
    pub(crate) const OWN_FILES: [&str; 5] =
        ["config.toml", "AGENTS.md", "USER.md", "trust", "history"];

    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("titanclaw.db")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// The tools that are components, which the person added.
    pub(crate) fn tools(&self) -> PathBuf {
        self.0.join("tools")
    }

    /// What was compiled of them. It can be deleted at any time.
    pub(crate) fn artefacts(&self) -> PathBuf {
        self.0.join("artefacts")
    }

    /// What was prepared to compile tools with. It can be deleted at any time.
    pub(crate) fn jit(&self) -> PathBuf {
        self.0.join("jit")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// What the person answered about the instructions in workspaces.
    pub(crate) fn trust(&self) -> TrustFile {
        TrustFile::new(self.0.join("trust"))
    }

    /// The token that opens the gateway. No backup takes it along; a home that was restored gets its own.
    pub(crate) fn gateway_token(&self) -> PathBuf {
        self.0.join("gateway.token")
    }

    pub(crate) fn history(&self) -> PathBuf {
        self.0.join("history")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_comes_before_the_environment_before_the_default() {
        let mut env = Env {
            user_home: Some("/u".into()),
            ..Env::default()
        };
        let locate = |flag: Option<&str>, env: &Env| {
            Home::locate(flag.map(Path::new), env).map(|home| home.path().to_owned())
        };
        assert_eq!(locate(None, &env).unwrap(), Path::new("/u/.titanclaw"));
        env.home = Some("/e".into());
        assert_eq!(locate(None, &env).unwrap(), Path::new("/e"));
        assert_eq!(locate(Some("/f"), &env).unwrap(), Path::new("/f"));
        assert!(locate(None, &Env::default()).is_err());
    }

    #[test]
    fn g32_a_home_that_others_could_steer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home(folder.path().join("home"));
        home.prepare().unwrap();
        let mode = std::fs::metadata(home.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(
            home.prepare()
                .unwrap_err()
                .to_string()
                .contains("chmod 700")
        );
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(home.path(), &link).unwrap();
        assert!(
            Home(link)
                .prepare()
                .unwrap_err()
                .to_string()
                .contains("is a link")
        );
    }
}
