//! Who may speak to the gateway.
//!
//! The token is 256 random bits in a file that only its owner reads. The file is the truth: it is looked at with every
//! request, so that a token that was renewed or removed counts no longer from that moment on, in every process that
//! serves this home. A browser gets a cookie instead, which is made from the token and ends with it; it is given for a
//! one-time code, so that the token itself is in no address, history or page.

use axum::http::{HeaderMap, header};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a one-time code can be used.
pub const CODE_LIFE: Duration = Duration::from_secs(120);
/// Codes that wait to be used; one more pushes the oldest out.
const CODES_MAX: usize = 16;
/// After so many wrong codes no code that waits is good any more.
const CODE_TRIES_MAX: u32 = 5;
/// How long a cookie is good, unless the token is renewed before.
const COOKIE_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Wrong tokens of one address in one window that are answered as such.
const WRONG_MAX: u32 = 20;
const WRONG_WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are counted apart; all others share one count.
const ADDRESSES_MAX: usize = 1024;
/// A token in hex.
const TOKEN_CHARS: usize = 64;

/// Why the token can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The file can't be read or made.
    #[error("the gateway's token {path} can't be used: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Others could read it.
    #[error(
        "the gateway's token {path} is open to other users, who may have read it. Make a new one: titanclaw web --new-token"
    )]
    Open {
        /// Which file.
        path: String,
    },
    /// It holds something else.
    #[error(
        "the gateway's token {path} is not one that was made for it. Make a new one: titanclaw web --new-token"
    )]
    Damaged {
        /// Which file.
        path: String,
    },
}

/// The token of one home, the codes that wait, and who guessed wrong.
pub struct Access {
    path: PathBuf,
    kept: Mutex<Kept>,
    codes: Mutex<Codes>,
    wrong: Mutex<Wrong>,
    /// Counts the tokens that there were; who was let in under an older one has to go.
    generation: watch::Sender<u64>,
}

/// What was last read of the file.
struct Kept {
    stamp: Option<Stamp>,
    /// `None`: nobody is let in.
    token: Option<Token>,
}

/// Tells a file that was written or exchanged from the one that was read.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

/// A token as it is needed to judge others, never as text.
#[derive(Clone, PartialEq)]
struct Token {
    hash: blake3::Hash,
    cookie_key: [u8; 32],
}

/// How somebody showed that they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// By the token, which a program has to send on purpose.
    Token,
    /// By the cookie, which a browser sends by itself.
    Cookie,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotShown {
    Unknown,
    Throttled,
}

impl Access {
    /// The token in this file, which is made if it isn't there.
    ///
    /// # Errors
    /// When the file can't be read or made, is open to others, or holds no token. There is no way on without one.
    pub fn open(path: &Path) -> Result<Self, AccessError> {
        if !path.try_exists().unwrap_or(true) {
            renew(path)?;
        }
        let (token, stamp) = read(path)?;
        Ok(Self {
            path: path.to_owned(),
            kept: Mutex::new(Kept {
                stamp: Some(stamp),
                token: Some(token),
            }),
            codes: Mutex::new(Codes::default()),
            wrong: Mutex::new(Wrong::default()),
            generation: watch::Sender::new(0),
        })
    }

    /// A code that opens one browser, within [`CODE_LIFE`] and once: 128 random bits in hex. Only its hash is kept.
    pub fn code(&self) -> String {
        let code = hex(&rand::random::<[u8; 16]>());
        self.codes.lock().add(blake3::hash(code.as_bytes()));
        code
    }

    /// The cookie's value for a code, which is used up by it.
    pub(crate) fn redeem(&self, code: &str, port: u16) -> Option<String> {
        let is_good = self.codes.lock().take(blake3::hash(code.as_bytes()));
        let token = is_good.then(|| self.token()).flatten()?;
        Some(token.cookie(unix_seconds() + COOKIE_LIFE.as_secs(), port))
    }

    /// Whether these headers show the token or a cookie made from it. Whoever shows several has to be right in all of
    /// them.
    ///
    /// The right token is let in however many wrong ones came before: it can't be guessed, and a program that guesses
    /// must not be able to lock its owner out.
    pub(crate) fn judge(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
        port: u16,
    ) -> Result<Shown, NotShown> {
        let tokens: Vec<_> = headers.get_all(header::AUTHORIZATION).iter().collect();
        let cookies = cookies(headers, port);
        if tokens.is_empty() && cookies.is_empty() {
            return Err(NotShown::Unknown);
        }
        let is_good = self.token().is_some_and(|token| {
            tokens.iter().all(|it| token.is_shown_by(it.as_bytes()))
                && cookies.iter().all(|cookie| token.made(cookie, port))
        });
        match is_good {
            true if tokens.is_empty() => Ok(Shown::Cookie),
            true => Ok(Shown::Token),
            false => Err(self.wrong.lock().count(peer)),
        }
    }

    /// Counts the tokens that there were. A stream that began ends when this changes.
    pub(crate) fn generation(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Looks whether the file is still the one that was read.
    pub(crate) fn refresh(&self) {
        let stamp = std::fs::symlink_metadata(&self.path).ok().map(stamp_of);
        let mut kept = self.kept.lock();
        if stamp.is_some() && stamp == kept.stamp {
            return;
        }
        let (token, stamp) = match read(&self.path) {
            Ok((token, stamp)) => (Some(token), Some(stamp)),
            Err(error) => {
                if kept.token.is_some() {
                    tracing::warn!(%error, "nobody is let in any more");
                }
                (None, None)
            }
        };
        let is_other = token != kept.token;
        *kept = Kept { stamp, token };
        drop(kept);
        if is_other {
            self.codes.lock().waiting.clear();
            self.generation.send_modify(|count| *count += 1);
        }
    }

    fn token(&self) -> Option<Token> {
        self.refresh();
        self.kept.lock().token.clone()
    }

    #[cfg(test)]
    fn codes_waiting(&self) -> usize {
        self.codes.lock().waiting.len()
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Puts a new token in the place of the one in this file. The old one and all cookies made from it count no longer.
///
/// # Errors
/// When the file can't be written.
pub fn renew(path: &Path) -> Result<(), AccessError> {
    let failed = |source| AccessError::File {
        path: path.display().to_string(),
        source,
    };
    let new = path.with_extension(format!("new-{}", hex(&rand::random::<[u8; 4]>())));
    let written = write(&new).and_then(|()| std::fs::rename(&new, path));
    written.map_err(|error| {
        // The error that is told is the one that matters.
        drop(std::fs::remove_file(&new));
        failed(error)
    })
}

fn write(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{}", hex(&rand::random::<[u8; 32]>()))?;
    file.sync_all()
}

fn read(path: &Path) -> Result<(Token, Stamp), AccessError> {
    let shown = || path.display().to_string();
    let failed = |source| AccessError::File {
        path: shown(),
        source,
    };
    // A link could be turned to a file whose content somebody else knows.
    let found = std::fs::symlink_metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(AccessError::Damaged { path: shown() });
    }
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if found.mode() & 0o077 != 0 {
        return Err(AccessError::Open { path: shown() });
    }
    let mut text = String::new();
    file.take(2 * TOKEN_CHARS as u64)
        .read_to_string(&mut text)
        .map_err(failed)?;
    let text = text.trim_end();
    let is_token = text.len() == TOKEN_CHARS && text.bytes().all(|it| it.is_ascii_hexdigit());
    if !is_token {
        return Err(AccessError::Damaged { path: shown() });
    }
    Ok((Token::of(text), stamp_of(found)))
}

fn stamp_of(found: std::fs::Metadata) -> Stamp {
    (
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    )
}

impl Token {
    fn of(text: &str) -> Self {
        Self {
            hash: blake3::hash(text.as_bytes()),
            cookie_key: blake3::derive_key("titanclaw 2026 gateway cookie", text.as_bytes()),
        }
    }

    /// Whether an `Authorization` header holds it. What is compared are hashes, in constant time.
    fn is_shown_by(&self, header: &[u8]) -> bool {
        let (scheme, rest) = header.split_at(header.len().min(7));
        scheme.eq_ignore_ascii_case(b"bearer ") && blake3::hash(rest.trim_ascii()) == self.hash
    }

    fn cookie(&self, expires: u64, port: u16) -> String {
        format!("{expires}.{}", self.seal(expires, port).to_hex())
    }

    /// Whether it made this cookie for this port, and its time is not up.
    fn made(&self, cookie: &str, port: u16) -> bool {
        let Some((expires, seal)) = cookie.split_once('.') else {
            return false;
        };
        let (Ok(expires), Ok(seal)) = (expires.parse(), blake3::Hash::from_hex(seal)) else {
            return false;
        };
        seal == self.seal(expires, port) && unix_seconds() < expires
    }

    fn seal(&self, expires: u64, port: u16) -> blake3::Hash {
        blake3::keyed_hash(&self.cookie_key, format!("{port} {expires}").as_bytes())
    }
}

/// The cookie's name. Browsers keep one set of cookies for all ports of a host.
pub(crate) fn cookie_name(port: u16) -> String {
    format!("titanclaw_{port}")
}

/// What a browser is told with a cookie's value.
pub(crate) fn set_cookie(value: &str, port: u16) -> String {
    format!(
        "{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}",
        cookie_name(port),
        COOKIE_LIFE.as_secs()
    )
}

fn cookies(headers: &HeaderMap, port: u16) -> Vec<String> {
    let name = cookie_name(port);
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .map(|pair| String::from_utf8_lossy(pair.trim_ascii()))
        .filter_map(|pair| Some(pair.strip_prefix(&name)?.strip_prefix('=')?.to_owned()))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Codes that wait to be used, oldest first.
#[derive(Default)]
struct Codes {
    waiting: VecDeque<(blake3::Hash, Instant)>,
    tries: u32,
}

impl Codes {
    fn add(&mut self, code: blake3::Hash) {
        self.drop_old();
        if self.waiting.len() == CODES_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((code, Instant::now() + CODE_LIFE));
        self.tries = 0;
    }

    fn take(&mut self, code: blake3::Hash) -> bool {
        self.drop_old();
        let place = self.waiting.iter().position(|(known, _)| *known == code);
        if let Some(idx) = place {
            self.waiting.remove(idx);
            return true;
        }
        self.tries += 1;
        if self.tries >= CODE_TRIES_MAX {
            self.waiting.clear();
        }
        false
    }

    fn drop_old(&mut self) {
        let now = Instant::now();
        self.waiting.retain(|(_, until)| now < *until);
    }
}

/// Wrong tokens by address, each in a window that begins with its first.
#[derive(Default)]
struct Wrong {
    by_address: HashMap<IpAddr, (u32, Instant)>,
    /// Of all addresses for which there is no room.
    others: Option<(u32, Instant)>,
}

impl Wrong {
    fn count(&mut self, address: IpAddr) -> NotShown {
        let now = Instant::now();
        let is_over = |begun: Instant| now.duration_since(begun) >= WRONG_WINDOW;
        if self.by_address.len() >= ADDRESSES_MAX && !self.by_address.contains_key(&address) {
            self.by_address.retain(|_, (_, begun)| !is_over(*begun));
        }
        let has_room =
            self.by_address.len() < ADDRESSES_MAX || self.by_address.contains_key(&address);
        let counted = match has_room {
            true => self.by_address.entry(address).or_insert((0, now)),
            false => self.others.get_or_insert((0, now)),
        };
        if is_over(counted.1) {
            *counted = (0, now);
        }
        counted.0 = counted.0.saturating_add(1);
        match counted.0 > WRONG_MAX {
            true => NotShown::Throttled,
            false => NotShown::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn opened() -> (tempfile::TempDir, Access) {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(&folder.path().join("gateway.token")).unwrap();
        (folder, access)
    }

    #[test]
    fn g32_the_token_is_for_its_owner_alone() {
        let (_folder, access) = opened();
        let mode = std::fs::metadata(&access.path)
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::set_permissions(&access.path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Access::open(&access.path).unwrap_err().to_string();
        assert!(error.contains("--new-token"), "{error}");
        assert_eq!(
            access.token().map(|_| ()),
            None,
            "one that was let in before"
        );
    }

    #[test]
    fn g7_a_token_file_that_holds_none_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.token");
        for content in ["", "\n", "short", &"x".repeat(64), &"0".repeat(65)] {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let opened = Access::open(&path);
            assert!(
                matches!(opened, Err(AccessError::Damaged { .. })),
                "{content:?}: {opened:?}"
            );
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(matches!(
            Access::open(&path),
            Err(AccessError::Damaged { .. })
        ));
        // One that is taken away while it serves lets nobody in either.
        std::fs::remove_file(&path).unwrap();
        let access = Access::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Bearer ".parse().unwrap());
        let peer = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(access.judge(&headers, peer, 1), Err(NotShown::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn g18_a_code_is_used_once_in_its_time_and_few_wait() {
        let (_folder, access) = opened();
        let code = access.code();
        assert!(access.redeem(&code, 1).is_some());
        assert!(access.redeem(&code, 1).is_none(), "a second time");
        let code = access.code();
        tokio::time::advance(CODE_LIFE).await;
        assert!(access.redeem(&code, 1).is_none(), "too late");
        let codes: Vec<String> = (0..1000).map(|_| access.code()).collect();
        assert_eq!(access.codes_waiting(), CODES_MAX);
        assert!(access.redeem(&codes[0], 1).is_none(), "pushed out");
        assert!(access.redeem(&codes[999], 1).is_some());
        let distinct: std::collections::HashSet<_> = codes.iter().collect();
        assert_eq!((distinct.len(), codes[0].len()), (1000, 32));
    }

    #[test]
    fn g18_five_wrong_codes_void_those_that_wait() {
        let (_folder, access) = opened();
        let code = access.code();
        for _ in 0..CODE_TRIES_MAX {
            assert!(access.redeem("0", 1).is_none());
        }
        assert!(access.redeem(&code, 1).is_none());
    }

    #[test]
    fn g18_of_many_who_show_one_code_at_once_one_is_let_in() {
        let (_folder, access) = opened();
        let code = access.code();
        let let_in: usize = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..64)
                .map(|_| scope.spawn(|| access.redeem(&code, 1).is_some()))
                .collect();
            asked
                .into_iter()
                .filter_map(|it| it.join().ok())
                .filter(|it| *it)
                .count()
        });
        assert_eq!(let_in, 1);
    }

    #[test]
    fn g19_a_code_is_neither_the_token_nor_kept_as_it_is() {
        let (_folder, access) = opened();
        let code = access.code();
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            format!("Bearer {code}").parse().unwrap(),
        );
        let peer = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(access.judge(&headers, peer, 1), Err(NotShown::Unknown));
        let token = std::fs::read_to_string(&access.path).unwrap();
        assert!(!token.contains(&code) && !format!("{access:?}").contains(&code));
        let cookie = access.redeem(&code, 1).unwrap();
        assert!(!cookie.contains(token.trim()));
        assert!(
            !std::fs::read_dir(access.path.parent().unwrap())
                .unwrap()
                .any(|file| {
                    std::fs::read_to_string(file.unwrap().path())
                        .unwrap()
                        .contains(&code)
                })
        );
    }

    #[test]
    fn g17_an_old_cookie_and_one_of_another_port_or_token_are_refused() {
        let (_folder, access) = opened();
        let token = access.token().unwrap();
        let soon = unix_seconds() + 60;
        assert!(token.made(&token.cookie(soon, 1), 1));
        assert!(!token.made(&token.cookie(soon, 1), 2), "another port");
        assert!(!token.made(&token.cookie(unix_seconds(), 1), 1), "too old");
        let longer = token
            .cookie(soon, 1)
            .replacen(&soon.to_string(), &(soon + 1).to_string(), 1);
        assert!(!token.made(&longer, 1), "a time that somebody made longer");
        assert!(!Token::of("other").made(&token.cookie(soon, 1), 1));
        for odd in ["", ".", "1", "x.y", "99999999999999999999999.00"] {
            assert!(!token.made(odd, 1), "{odd}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn g9_wrong_tokens_are_counted_in_a_table_that_does_not_grow() {
        let mut wrong = Wrong::default();
        let own = IpAddr::from([127, 0, 0, 1]);
        for _ in 0..WRONG_MAX {
            assert_eq!(wrong.count(own), NotShown::Unknown);
        }
        assert_eq!(wrong.count(own), NotShown::Throttled);
        for n in 0..100_000u32 {
            wrong.count(IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(wrong.by_address.len(), ADDRESSES_MAX);
        assert_eq!(
            wrong.count(own),
            NotShown::Throttled,
            "not pushed out by others"
        );
        assert_eq!(wrong.count(IpAddr::from([9; 4])), NotShown::Throttled);
        tokio::time::advance(WRONG_WINDOW).await;
        assert_eq!(wrong.count(own), NotShown::Unknown);
    }
}
