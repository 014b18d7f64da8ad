//! Days and times of the Gregorian calendar. No zones but offsets: a tool is told where it is.

use crate::{Error, Result};
use std::fmt;

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// Days since 1970-01-01.
    day: i64,
}

/// A day and a time, in UTC where an offset was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime {
    /// Since the beginning of 1970.
    millis: i64,
}

const DAY: i64 = 86_400_000;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
/// What is tried where no format is named. Days stand before months where both are numbers, but for years first.
const FORMATS: [&str; 24] = [
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%d %H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M%z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%d",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%a, %d %b %Y %H:%M:%S %z",
    "%d %b %Y %H:%M:%S %z",
    "%d/%b/%Y:%H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%b %d %Y",
    "%d-%b-%Y",
    "%a, %d %b %Y",
];

impl Date {
    /// That day.
    ///
    /// # Errors
    /// When there is no such day, or the year is not from -9999 to 9999.
    #[inline(never)]
    pub fn new(year: i64, month: i64, day: i64) -> Result<Self> {
        let is_there = (-9_999..=9_999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day);
        match is_there {
            true => Ok(Self {
                day: days(year, month, day),
            }),
            false => Err(Error::new(format!(
                "there is no day {year}-{month:02}-{day:02}"
            ))),
        }
    }

    /// The day in a text: `2026-03-05`, `5.3.2026`, `5 March 2026`, `March 5, 2026` and the like; a time after it is left out.
    ///
    /// # Errors
    /// When it is none of these.
    #[inline(never)]
    pub fn parse(text: &str) -> Result<Self> {
        Ok(read(text)?.local().date())
    }

    /// The day in a text of this format, as with `strptime`.
    ///
    /// # Errors
    /// When it is not of it.
    #[inline(never)]
    pub fn parse_as(text: &str, format: &str) -> Result<Self> {
        Ok(read_as(text, format)?.local().date())
    }

    /// As with `strftime`: `%Y %m %d %e %j %a %A %b %B %V %G %u %y %%` and, with zeros, those of times.
    #[inline(never)]
    pub fn format(self, format: &str) -> String {
        self.start().format(format)
    }

    /// The year.
    #[inline(never)]
    pub fn year(self) -> i64 {
        civil(self.day).0
    }

    /// The month, from 1.
    #[inline(never)]
    pub fn month(self) -> i64 {
        civil(self.day).1
    }

    /// The day of the month, from 1.
    #[inline(never)]
    pub fn day(self) -> i64 {
        civil(self.day).2
    }

    /// The name of the day of the week, in English.
    #[inline(never)]
    pub fn weekday(self) -> &'static str {
        WEEKDAYS[(self.weekday_number() - 1) as usize]
    }

    /// The day of the week: Monday is 1, Sunday 7.
    #[inline(never)]
    pub fn weekday_number(self) -> i64 {
        (self.day + 3).rem_euclid(7) + 1
    }

    /// Whether it is from Monday to Friday.
    #[inline(never)]
    pub fn is_weekday(self) -> bool {
        self.weekday_number() < 6
    }

    /// The day of the year, from 1.
    #[inline(never)]
    pub fn day_of_year(self) -> i64 {
        self.day - days(self.year(), 1, 1) + 1
    }

    /// The year and the number of its week, by ISO 8601.
    #[inline(never)]
    pub fn week(self) -> (i64, i64) {
        let thursday = Self {
            day: self.day + 4 - self.weekday_number(),
        };
        (thursday.year(), (thursday.day_of_year() - 1) / 7 + 1)
    }

    /// So many days later.
    #[inline(never)]
    pub fn add_days(self, days: i64) -> Self {
        Self {
            day: self.day.saturating_add(days),
        }
    }

    /// So many months later, on the last day of the month where it has no such day.
    #[inline(never)]
    pub fn add_months(self, months: i64) -> Self {
        let (year, month, day) = civil(self.day);
        let months = (year * 12 + month - 1).saturating_add(months);
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        Self {
            day: days(year, month, day.min(days_in_month(year, month))),
        }
    }

    /// So many years later, on 28 February where it was the 29th.
    #[inline(never)]
    pub fn add_years(self, years: i64) -> Self {
        self.add_months(years.saturating_mul(12))
    }

    /// Days from it to another; below zero if that is earlier.
    #[inline(never)]
    pub fn days_until(self, other: Self) -> i64 {
        other.day - self.day
    }

    /// Whole years from it to another: the age on that day of who was born on this one.
    #[inline(never)]
    pub fn years_until(self, other: Self) -> i64 {
        let (a, b) = (civil(self.day), civil(other.day));
        b.0 - a.0 - i64::from((b.1, b.2) < (a.1, a.2))
    }

    /// Its first moment.
    #[inline(never)]
    pub fn start(self) -> DateTime {
        DateTime {
            millis: self.day.saturating_mul(DAY),
        }
    }
}

impl DateTime {
    /// That moment.
    ///
    /// # Errors
    /// When there is no such day or time.
    #[inline(never)]
    pub fn new(date: Date, hour: i64, minute: i64, second: i64) -> Result<Self> {
        let is_there =
            (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
        match is_there {
            true => Ok(date
                .start()
                .add_seconds(hour * 3_600 + minute * 60 + second)),
            false => Err(Error::new(format!(
                "there is no time {hour:02}:{minute:02}:{second:02}"
            ))),
        }
    }

    /// The moment in a text: ISO 8601, RFC 3339, RFC 2822, those of web servers' logs, or a day alone. With an offset it is made UTC.
    ///
    /// # Errors
    /// When it is none of these.
    #[inline(never)]
    pub fn parse(text: &str) -> Result<Self> {
        Ok(read(text)?.utc())
    }

    /// The moment in a text of this format, as with `strptime`.
    ///
    /// # Errors
    /// When it is not of it.
    #[inline(never)]
    pub fn parse_as(text: &str, format: &str) -> Result<Self> {
        Ok(read_as(text, format)?.utc())
    }

    /// So many seconds after the beginning of 1970.
    #[inline(never)]
    pub fn from_seconds(seconds: i64) -> Self {
        Self {
            millis: seconds.saturating_mul(1_000),
        }
    }

    /// So many milliseconds after the beginning of 1970.
    #[inline(never)]
    pub fn from_millis(millis: i64) -> Self {
        Self { millis }
    }

    /// Seconds since the beginning of 1970.
    #[inline(never)]
    pub fn seconds(self) -> i64 {
        self.millis.div_euclid(1_000)
    }

    /// Milliseconds since the beginning of 1970.
    #[inline(never)]
    pub fn millis(self) -> i64 {
        self.millis
    }

    /// Its day.
    #[inline(never)]
    pub fn date(self) -> Date {
        Date {
            day: self.millis.div_euclid(DAY),
        }
    }

    /// The hour, from 0 to 23.
    #[inline(never)]
    pub fn hour(self) -> i64 {
        self.of_day() / 3_600
    }

    /// The minute.
    #[inline(never)]
    pub fn minute(self) -> i64 {
        self.of_day() / 60 % 60
    }

    /// The second.
    #[inline(never)]
    pub fn second(self) -> i64 {
        self.of_day() % 60
    }

    /// So many seconds later.
    #[inline(never)]
    pub fn add_seconds(self, seconds: i64) -> Self {
        Self {
            millis: self.millis.saturating_add(seconds.saturating_mul(1_000)),
        }
    }

    /// Seconds from it to another; below zero if that is earlier.
    #[inline(never)]
    pub fn seconds_until(self, other: Self) -> i64 {
        other.seconds() - self.seconds()
    }

    /// As it is called so many minutes east of UTC.
    #[inline(never)]
    pub fn at_offset(self, minutes: i64) -> Self {
        self.add_seconds(minutes.saturating_mul(60))
    }

    /// As with `strftime`: those of [`Date::format`] and `%H %I %M %S %p %s %T %R %F %z`.
    #[inline(never)]
    pub fn format(self, format: &str) -> String {
        let mut given = String::new();
        let mut letters = format.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '%' => given.push_str(&self.part(letters.next())),
                _ => given.push(letter),
            }
        }
        given
    }

    fn part(self, what: Option<char>) -> String {
        let date = self.date();
        let two = |number: i64| format!("{number:02}");
        let month = || MONTHS[(date.month() - 1) as usize];
        match what {
            Some('Y') => format!("{:04}", date.year()),
            Some('y') => two(date.year().rem_euclid(100)),
            Some('m') => two(date.month()),
            Some('d') => two(date.day()),
            Some('e') => format!("{:2}", date.day()),
            Some('j') => format!("{:03}", date.day_of_year()),
            Some('a') => date.weekday()[..3].to_owned(),
            Some('A') => date.weekday().to_owned(),
            Some('b' | 'h') => month()[..3].to_owned(),
            Some('B') => month().to_owned(),
            Some('G') => format!("{:04}", date.week().0),
            Some('V') => two(date.week().1),
            Some('u') => date.weekday_number().to_string(),
            Some('H') => two(self.hour()),
            Some('I') => two((self.hour() + 11) % 12 + 1),
            Some('M') => two(self.minute()),
            Some('S') => two(self.second()),
            Some('f') => format!("{:06}", self.millis.rem_euclid(1_000) * 1_000),
            Some('p') => if self.hour() < 12 { "AM" } else { "PM" }.to_owned(),
            Some('s') => self.seconds().to_string(),
            Some('T') => self.format("%H:%M:%S"),
            Some('R') => self.format("%H:%M"),
            Some('F') => date.format("%Y-%m-%d"),
            Some('z') => "+0000".to_owned(),
            Some(other) if other != '%' => format!("%{other}"),
            _ => "%".to_owned(),
        }
    }

    fn of_day(self) -> i64 {
        self.millis.rem_euclid(DAY) / 1_000
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.format("%Y-%m-%d"))
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// A length of time as people say it: `2 d 3 h`, `45 s`.
#[inline(never)]
pub fn duration(seconds: i64) -> String {
    let all = seconds.unsigned_abs();
    let parts = [
        (all / 86_400, "d"),
        (all / 3_600 % 24, "h"),
        (all / 60 % 60, "min"),
        (all % 60, "s"),
    ];
    let mut told: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n} {unit}"))
        .collect();
    if told.is_empty() {
        told.push("0 s".to_owned());
    }
    if seconds < 0 {
        format!("-{}", told.join(" "))
    } else {
        told.join(" ")
    }
}

/// The seconds in a text such as `1h 30m`, `90s`, `2 days`, `1:30:00` or `45:10` (minutes first).
///
/// # Errors
/// When it is none.
#[inline(never)]
pub fn parse_duration(text: &str) -> Result<i64> {
    let wrong = || Error::new(format!("{text:?} is no length of time"));
    if text.contains(':') {
        let parts: Option<Vec<i64>> = text
            .trim()
            .split(':')
            .map(|part| part.trim().parse().ok())
            .collect();
        let parts = parts.filter(|parts| parts.len() < 4).ok_or_else(wrong)?;
        return Ok(parts.iter().fold(0, |all, part| all * 60 + part));
    }
    let mut seconds = 0.0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest
            .find(|letter: char| !(letter.is_ascii_digit() || letter == '.'))
            .unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        rest = rest[end..].trim_start();
        let end = rest
            .find(|letter: char| !letter.is_alphabetic())
            .unwrap_or(rest.len());
        let unit = match &rest[..end].to_lowercase()[..] {
            "w" | "week" | "weeks" => 604_800.0,
            "d" | "day" | "days" => 86_400.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            _ => return Err(wrong()),
        };
        seconds += number * unit;
        rest = rest[end..].trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    match text.trim() {
        "" => Err(wrong()),
        _ => Ok(seconds.round() as i64),
    }
}

/// Days of a month.
#[inline(never)]
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Whether a year has 366 days.
#[inline(never)]
pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days since 1970-01-01, counted in eras of 400 years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month < 3);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The year, month and day of a day since 1970-01-01.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day.saturating_add(719_468);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (
        year + day.div_euclid(146_097) * 400 + i64::from(month < 3),
        month,
        of_month,
    )
}

/// What was read of a text.
#[derive(Clone, Copy)]
struct Read {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    millis: i64,
    is_afternoon: Option<bool>,
    /// Minutes east of UTC.
    offset: i64,
    seconds: Option<i64>,
    date: Option<Date>,
}

impl Read {
    const NOTHING: Self = Self {
        year: 1970,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        millis: 0,
        is_afternoon: None,
        offset: 0,
        seconds: None,
        date: None,
    };

    /// Whether there is such a time.
    fn checked(mut self) -> Option<Self> {
        match self.is_afternoon {
            Some(_) if !(1..=12).contains(&self.hour) => return None,
            Some(is_afternoon) => self.hour = self.hour % 12 + if is_afternoon { 12 } else { 0 },
            None => {}
        }
        let date = Date::new(self.year, self.month, self.day).ok()?;
        DateTime::new(date, self.hour, self.minute, self.second).ok()?;
        self.date = Some(date);
        Some(self)
    }

    fn local(self) -> DateTime {
        if let Some(seconds) = self.seconds {
            return DateTime::from_seconds(seconds);
        }
        let start = self.date.map_or(0, |date| date.day) * DAY;
        let of_day = self.hour * 3_600 + self.minute * 60 + self.second;
        DateTime {
            millis: start + of_day * 1_000 + self.millis,
        }
    }

    fn utc(self) -> DateTime {
        self.local().add_seconds(-self.offset * 60)
    }
}

fn read(text: &str) -> Result<Read> {
    let text = text.trim();
    let found = FORMATS.iter().find_map(|format| of_format(text, format));
    found.ok_or_else(|| {
        Error::new(format!(
            "{text:?} is no date that is understood; say its format, as with strptime"
        ))
    })
}

fn read_as(text: &str, format: &str) -> Result<Read> {
    of_format(text.trim(), format)
        .ok_or_else(|| Error::new(format!("{text:?} is no date of the format {format:?}")))
}

fn of_format(text: &str, format: &str) -> Option<Read> {
    let mut read = Read::NOTHING;
    let rest = follow(text, format, &mut read)?;
    match rest.is_empty() {
        true => read.checked(),
        false => None,
    }
}

/// Reads what a format says, and gives what is left.
fn follow<'a>(mut text: &'a str, format: &str, read: &mut Read) -> Option<&'a str> {
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter.is_whitespace() {
            text = text.trim_start();
            continue;
        }
        if letter != '%' {
            text = text.strip_prefix(letter)?;
            continue;
        }
        match letters.next()? {
            'Y' => (read.year, text) = digits(text, 4, 4)?,
            'y' => {
                (read.year, text) = digits(text, 2, 2)?;
                read.year += if read.year < 69 { 2000 } else { 1900 };
            }
            'm' => (read.month, text) = digits(text, 1, 2)?,
            'd' | 'e' => (read.day, text) = digits(text.trim_start(), 1, 2)?,
            'H' | 'I' => (read.hour, text) = digits(text, 1, 2)?,
            'M' => (read.minute, text) = digits(text, 2, 2)?,
            'S' => {
                (read.second, text) = digits(text, 2, 2)?;
                (read.millis, text) = fraction(text);
            }
            's' => {
                let (seconds, rest) = digits(text, 1, 12)?;
                (read.seconds, text) = (Some(seconds), rest);
            }
            'b' | 'B' | 'h' => (read.month, text) = name(text, &MONTHS)?,
            'a' | 'A' => (_, text) = name(text, &WEEKDAYS)?,
            'p' => {
                let half = text.get(..2)?.to_lowercase();
                read.is_afternoon = Some(match &half[..] {
                    "am" => false,
                    "pm" => true,
                    _ => return None,
                });
                text = &text[2..];
            }
            'z' => (read.offset, text) = offset(text)?,
            'F' => text = follow(text, "%Y-%m-%d", read)?,
            'T' => text = follow(text, "%H:%M:%S", read)?,
            'R' => text = follow(text, "%H:%M", read)?,
            '%' => text = text.strip_prefix('%')?,
            _ => return None,
        }
    }
    Some(text)
}

fn digits(text: &str, min: usize, max: usize) -> Option<(i64, &str)> {
    let n = text
        .bytes()
        .take(max)
        .take_while(u8::is_ascii_digit)
        .count();
    (n >= min).then(|| Some((text[..n].parse().ok()?, &text[n..])))?
}

/// A fraction of a second in milliseconds, if one stands there.
fn fraction(text: &str) -> (i64, &str) {
    let Some(rest) = text.strip_prefix(['.', ',']) else {
        return (0, text);
    };
    let n = rest.bytes().take_while(u8::is_ascii_digit).count();
    if n == 0 {
        return (0, text);
    }
    let millis = rest[..n].bytes().chain(*b"000").take(3);
    (
        millis.fold(0, |all, digit| all * 10 + i64::from(digit - b'0')),
        &rest[n..],
    )
}

/// The number, from 1, of a name of which at least three letters stand there.
fn name<'a>(text: &'a str, names: &[&str]) -> Option<(i64, &'a str)> {
    let n = text
        .find(|letter: char| !letter.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let said = text[..n].to_lowercase();
    let is_said = |name: &&str| {
        said.len() >= 3
            && (name.to_lowercase().starts_with(&said) || said == "sept" && **name == *"September")
    };
    let at = names.iter().position(|name| is_said(&name))?;
    let rest = &text[n..];
    Some((at as i64 + 1, rest.strip_prefix('.').unwrap_or(rest)))
}

/// `Z`, `UTC`, `GMT`, `+02:00`, `-0530` or `+01`, in minutes.
fn offset(text: &str) -> Option<(i64, &str)> {
    let text = text.trim_start();
    for utc in ["Z", "z", "UTC", "GMT"] {
        if let Some(rest) = text.strip_prefix(utc) {
            return Some((0, rest));
        }
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' | '−' => -1,
        _ => return None,
    };
    let (hours, rest) = digits(text.trim_start_matches(['+', '-', '−']), 2, 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = digits(rest, 2, 2).unwrap_or((0, rest));
    Some((sign * (hours * 60 + minutes), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    #[test]
    fn every_day_of_eight_hundred_years_comes_back() {
        let mut last = (1599, 12, 31);
        for n in days(1600, 1, 1)..days(2400, 1, 1) {
            let (year, month, of_month) = civil(n);
            assert_eq!(days(year, month, of_month), n);
            let next = match last {
                (y, 12, 31) => (y + 1, 1, 1),
                (y, m, d) if d == days_in_month(y, m) => (y, m + 1, 1),
                (y, m, d) => (y, m, d + 1),
            };
            assert_eq!((year, month, of_month), next);
            last = next;
        }
        assert_eq!((civil(0), civil(-1)), ((1970, 1, 1), (1969, 12, 31)));
    }

    // Python's `datetime` says the same.
    #[test]
    fn days_know_their_week_and_what_lies_between() {
        assert_eq!(
            (day("2026-11-29").weekday(), day("2026-11-29").week()),
            ("Sunday", (2026, 48))
        );
        assert_eq!(
            (day("2021-01-03").week(), day("2020-12-31").week()),
            ((2020, 53), (2020, 53))
        );
        assert_eq!(
            (day("2018-12-31").week(), day("2024-12-31").day_of_year()),
            ((2019, 1), 366)
        );
        assert_eq!(day("2024-01-31").add_months(1).to_string(), "2024-02-29");
        assert_eq!(day("2024-02-29").add_years(1).to_string(), "2025-02-28");
        assert_eq!(day("2024-03-31").add_months(-13).to_string(), "2023-02-28");
        assert_eq!(day("2024-02-28").days_until(day("2025-03-01")), 367);
        assert_eq!(
            (
                day("2000-05-20").years_until(day("2026-05-19")),
                day("2000-05-20").years_until(day("2026-05-20"))
            ),
            (25, 26)
        );
        assert_eq!(
            Date::new(2025, 2, 29).unwrap_err().to_string(),
            "there is no day 2025-02-29"
        );
    }

    #[test]
    fn texts_of_many_formats_are_the_same_moment() {
        for text in [
            "2026-03-05T14:07:09Z",
            "2026-03-05 14:07:09",
            "2026-03-05T16:07:09+02:00",
            "2026-03-05T08:37:09.000-0530",
            "Thu, 05 Mar 2026 14:07:09 +0000",
            "05/Mar/2026:14:07:09 +0000",
            "Thu Mar  5 14:07:09 2026",
            "5.3.2026 14:07:09",
            "2026/03/05 14:07:09",
            "20260305T140709Z",
        ] {
            assert_eq!(
                DateTime::parse(text).unwrap().seconds(),
                1_772_719_629,
                "{text}"
            );
        }
        for text in [
            "2026-03-05",
            "5.3.2026",
            "5 March 2026",
            "Mar 5, 2026",
            "March 5 2026",
            "05-Mar-2026",
            "20260305",
            "2026-03-05T23:59:59-08:00",
        ] {
            assert_eq!(day(text).to_string(), "2026-03-05", "{text}");
        }
        assert_eq!(
            Date::parse_as("3/5/26", "%m/%d/%y").unwrap(),
            day("2026-03-05")
        );
        assert_eq!(
            DateTime::parse_as("5 Sept. 2026 12:30 am", "%d %b %Y %I:%M %p")
                .unwrap()
                .to_string(),
            "2026-09-05T00:30:00Z"
        );
        for text in ["", "soon", "2026-02-30", "2026-03-05T25:00:00", "05/06/07"] {
            assert!(DateTime::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_written_as_strftime_writes_them() {
        let moment = DateTime::parse("2026-03-05T14:07:09.5Z").unwrap();
        assert_eq!(
            moment
                .format("%a %A %b %B %d %e %j %y %I:%M %p %H %S %f %s %G-W%V-%u %F %T %R %z %% %q"),
            "Thu Thursday Mar March 05  5 064 26 02:07 PM 14 09 500000 1772719629 2026-W10-4 2026-03-05 14:07:09 14:07 +0000 % %q"
        );
        assert_eq!(
            (moment.hour(), moment.minute(), moment.second()),
            (14, 7, 9)
        );
        assert_eq!(
            DateTime::from_seconds(-1).to_string(),
            "1969-12-31T23:59:59Z"
        );
        assert_eq!(moment.at_offset(-480).format("%H:%M"), "06:07");
    }

    #[test]
    fn lengths_of_time_are_read_and_told() {
        for (text, seconds) in [
            ("1h 30m", 5400),
            ("90s", 90),
            ("2 days, 3 hours and 5 min", 183_900),
            ("1:30:00", 5400),
            ("45:10", 2710),
            ("1.5h", 5400),
        ] {
            assert_eq!(parse_duration(text).unwrap(), seconds, "{text}");
        }
        assert!(
            parse_duration("5").is_err()
                && parse_duration("").is_err()
                && parse_duration("h").is_err()
        );
        assert_eq!(
            [duration(183_905), duration(0), duration(-60)],
            ["2 d 3 h 5 min 5 s", "0 s", "-1 min"]
        );
    }
}
