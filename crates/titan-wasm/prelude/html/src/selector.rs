//! CSS selectors: names, `#id`, `.class`, `[attribute]` with its operators, ` `, `>`, `+`, `~`, lists, `:not`, `:is`, `:has`, `:contains` and
//! those of places.

use crate::Element;
use titan_prelude::{Error, Result};

/// Selectors of which one has to mean an element.
pub(crate) struct Selector(Vec<Chain>);

/// What an element has to be, and what has to stand before it or around it, from right to left.
struct Chain {
    last: Vec<Simple>,
    before: Vec<(Combinator, Vec<Simple>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Combinator {
    Within,
    Child,
    Next,
    After,
}

enum Simple {
    Any,
    Name(String),
    Attribute {
        name: String,
        operator: char,
        value: String,
        ignores_case: bool,
    },
    Class(String),
    /// Of its siblings, counted from the first or the last, of its name alone or all: `step`, `first`.
    Place {
        from_end: bool,
        of_name: bool,
        step: i64,
        first: i64,
    },
    Only {
        of_name: bool,
    },
    Empty,
    Contains(String),
    Not(Selector),
    Is(Selector),
    Has(Vec<(Combinator, Selector)>),
}

impl Selector {
    #[inline(never)]
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut reader = Reader { text, rest: text };
        let selector = reader.list()?;
        match reader.rest {
            "" => Ok(selector),
            _ => Err(reader.wrong()),
        }
    }

    #[inline(never)]
    pub(crate) fn means(&self, element: Element<'_>) -> bool {
        self.0
            .iter()
            .any(|chain| is_all(&chain.last, element) && is_before(&chain.before, element))
    }
}

/// Whether what a chain wants before an element is there; tried from the nearest on.
fn is_before(wanted: &[(Combinator, Vec<Simple>)], element: Element<'_>) -> bool {
    let Some(((combinator, simples), rest)) = wanted.split_first() else {
        return true;
    };
    let step = |one: Element<'_>| match combinator {
        Combinator::Within | Combinator::Child => one.parent().map(|one| one.at),
        Combinator::Next | Combinator::After => one.previous().map(|one| one.at),
    };
    let is_far = matches!(combinator, Combinator::Within | Combinator::After);
    let mut here = element;
    while let Some(at) = step(here) {
        here = Element { at, ..element };
        if is_all(simples, here) && is_before(rest, here) {
            return true;
        }
        if !is_far {
            return false;
        }
    }
    false
}

fn is_all(simples: &[Simple], element: Element<'_>) -> bool {
    simples.iter().all(|simple| simple.means(element))
}

impl Simple {
    fn means(&self, element: Element<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Name(name) => element.name() == name,
            Self::Class(class) => element.has_class(class),
            Self::Attribute {
                name,
                operator,
                value,
                ignores_case,
            } => element.attribute(name).is_some_and(|own| {
                if *ignores_case {
                    return is_so(&own.to_lowercase(), *operator, &value.to_lowercase());
                }
                is_so(own, *operator, value)
            }),
            Self::Place {
                from_end,
                of_name,
                step,
                first,
            } => {
                let place = place(element, *from_end, *of_name);
                let past = place - first;
                if *step == 0 {
                    past == 0
                } else {
                    past % step == 0 && past / step >= 0
                }
            }
            Self::Only { of_name } => {
                place(element, false, *of_name) == 1 && place(element, true, *of_name) == 1
            }
            Self::Empty => element.is_empty(),
            Self::Contains(text) => element.text().contains(text.as_str()),
            Self::Not(selector) => !selector.means(element),
            Self::Is(selector) => selector.means(element),
            Self::Has(all) => all
                .iter()
                .any(|(combinator, selector)| has(element, *combinator, selector)),
        }
    }
}

fn has(element: Element<'_>, combinator: Combinator, selector: &Selector) -> bool {
    match combinator {
        Combinator::Within => element.below().into_iter().any(|one| selector.means(one)),
        Combinator::Child => element
            .children()
            .into_iter()
            .any(|one| selector.means(one)),
        Combinator::Next => element.next().is_some_and(|one| selector.means(one)),
        Combinator::After => {
            let mut here = element.next();
            while let Some(one) = here {
                if selector.means(one) {
                    return true;
                }
                here = one.next();
            }
            false
        }
    }
}

fn is_so(own: &str, operator: char, value: &str) -> bool {
    match operator {
        ' ' => true,
        '=' => own == value,
        '~' => own.split_ascii_whitespace().any(|one| one == value),
        '|' => own
            .strip_prefix(value)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-')),
        _ if value.is_empty() => false,
        '^' => own.starts_with(value),
        '$' => own.ends_with(value),
        _ => own.contains(value),
    }
}

fn place(element: Element<'_>, from_end: bool, of_name: bool) -> i64 {
    let mut siblings = element.siblings();
    if of_name {
        siblings.retain(|one| one.name() == element.name());
    }
    let at = siblings
        .iter()
        .position(|one| one.at == element.at)
        .unwrap_or_default();
    let place = if from_end {
        siblings.len() - at
    } else {
        at + 1
    };
    i64::try_from(place).unwrap_or(i64::MAX)
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Reader<'_> {
    fn list(&mut self) -> Result<Selector> {
        let mut all = vec![self.chain()?];
        while self.takes(',') {
            all.push(self.chain()?);
        }
        Ok(Selector(all))
    }

    fn chain(&mut self) -> Result<Chain> {
        self.blanks();
        let mut last = self.simples()?;
        let mut before = Vec::new();
        loop {
            let is_apart = self.blanks();
            let combinator = match self.combinator() {
                Some(combinator) => combinator,
                None if is_apart && !self.rest.is_empty() && !self.rest.starts_with([',', ')']) => {
                    Combinator::Within
                }
                None => return Ok(Chain { last, before }),
            };
            let next = self.simples()?;
            before.insert(0, (combinator, std::mem::replace(&mut last, next)));
        }
    }

    fn combinator(&mut self) -> Option<Combinator> {
        let combinator = match self.rest.chars().next()? {
            '>' => Combinator::Child,
            '+' => Combinator::Next,
            '~' => Combinator::After,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        self.blanks();
        Some(combinator)
    }

    fn simples(&mut self) -> Result<Vec<Simple>> {
        let mut simples = Vec::new();
        while let Some(letter) = self.rest.chars().next() {
            let simple = match letter {
                '*' => {
                    self.rest = &self.rest[1..];
                    Simple::Any
                }
                '#' => {
                    self.rest = &self.rest[1..];
                    Simple::Attribute {
                        name: "id".to_owned(),
                        operator: '=',
                        value: self.name()?,
                        ignores_case: false,
                    }
                }
                '.' => {
                    self.rest = &self.rest[1..];
                    Simple::Class(self.name()?)
                }
                '[' => {
                    self.rest = &self.rest[1..];
                    self.attribute()?
                }
                ':' => {
                    self.rest = self.rest.trim_start_matches(':');
                    self.pseudo()?
                }
                _ if simples.is_empty() && is_of_name(letter) => {
                    Simple::Name(self.name()?.to_lowercase())
                }
                _ => break,
            };
            simples.push(simple);
        }
        match simples.is_empty() {
            true => Err(self.wrong()),
            false => Ok(simples),
        }
    }

    fn attribute(&mut self) -> Result<Simple> {
        self.blanks();
        let name = self.name()?;
        self.blanks();
        let mut operator = ' ';
        let mut value = String::new();
        let mut ignores_case = false;
        if let Some(letter) = self
            .rest
            .chars()
            .next()
            .filter(|letter| "=~|^$*".contains(*letter))
        {
            operator = letter;
            self.rest = self.rest[1..].trim_start_matches('=');
            self.blanks();
            value = self.value()?;
            self.blanks();
            if self.rest.starts_with(['i', 's']) {
                ignores_case = self.rest.starts_with('i');
                self.rest = self.rest[1..].trim_start();
            }
        }
        match self.takes(']') {
            true => Ok(Simple::Attribute {
                name,
                operator,
                value,
                ignores_case,
            }),
            false => Err(self.wrong()),
        }
    }

    fn pseudo(&mut self) -> Result<Simple> {
        let name = self.name()?.to_lowercase();
        let place = |from_end, of_name, step, first| Simple::Place {
            from_end,
            of_name,
            step,
            first,
        };
        Ok(match name.as_str() {
            "first-child" => place(false, false, 0, 1),
            "last-child" => place(true, false, 0, 1),
            "first-of-type" => place(false, true, 0, 1),
            "last-of-type" => place(true, true, 0, 1),
            "only-child" => Simple::Only { of_name: false },
            "only-of-type" => Simple::Only { of_name: true },
            "empty" => Simple::Empty,
            "nth-child" | "nth-last-child" | "nth-of-type" | "nth-last-of-type" => {
                let (step, first) = self.inside(Self::places)?;
                place(
                    name.contains("last"),
                    name.ends_with("of-type"),
                    step,
                    first,
                )
            }
            "not" => Simple::Not(self.inside(Self::list)?),
            "is" | "where" | "matches" => Simple::Is(self.inside(Self::list)?),
            "has" => Simple::Has(self.inside(Self::relatives)?),
            "contains" | "-soup-contains" => Simple::Contains(self.inside(Self::value)?),
            _ => return Err(self.wrong()),
        })
    }

    fn inside<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if !self.takes('(') {
            return Err(self.wrong());
        }
        self.blanks();
        let given = read(self)?;
        self.blanks();
        match self.takes(')') {
            true => Ok(given),
            false => Err(self.wrong()),
        }
    }

    fn relatives(&mut self) -> Result<Vec<(Combinator, Selector)>> {
        let mut all = Vec::new();
        loop {
            self.blanks();
            let combinator = self.combinator().unwrap_or(Combinator::Within);
            all.push((combinator, Selector(vec![self.chain()?])));
            if !self.takes(',') {
                return Ok(all);
            }
        }
    }

    /// `odd`, `even`, `3`, `2n+1`, `-n + 3`.
    fn places(&mut self) -> Result<(i64, i64)> {
        let end = self.rest.find(')').unwrap_or(self.rest.len());
        let said: String = self.rest[..end]
            .chars()
            .filter(|letter| !letter.is_whitespace())
            .collect();
        let given = match said.to_lowercase().as_str() {
            "odd" => Some((2, 1)),
            "even" => Some((2, 0)),
            said => match said.split_once('n') {
                None => said.parse().ok().map(|first| (0, first)),
                Some((step, first)) => {
                    let step = match step {
                        "" | "+" => Some(1),
                        "-" => Some(-1),
                        step => step.parse().ok(),
                    };
                    let first = if first.is_empty() {
                        Some(0)
                    } else {
                        first.parse().ok()
                    };
                    step.zip(first)
                }
            },
        };
        let given = given.ok_or_else(|| self.wrong())?;
        self.rest = &self.rest[end..];
        Ok(given)
    }

    /// In quotes, or up to the bracket.
    fn value(&mut self) -> Result<String> {
        for quote in ['"', '\''] {
            if let Some(rest) = self.rest.strip_prefix(quote) {
                let (value, rest) = rest.split_once(quote).ok_or_else(|| self.wrong())?;
                self.rest = rest;
                return Ok(value.to_owned());
            }
        }
        let end = self.rest.find([']', ')', ' ']).unwrap_or(self.rest.len());
        let (value, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(value.to_owned())
    }

    fn name(&mut self) -> Result<String> {
        let mut name = String::new();
        let mut letters = self.rest.chars();
        let mut rest = self.rest;
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => name.extend(letters.next()),
                letter if is_of_name(letter) => name.push(letter),
                _ => break,
            }
            rest = letters.as_str();
        }
        self.rest = rest;
        match name.is_empty() {
            true => Err(self.wrong()),
            false => Ok(name),
        }
    }

    fn takes(&mut self, letter: char) -> bool {
        let rest = self.rest.strip_prefix(letter);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Whether there were some.
    fn blanks(&mut self) -> bool {
        let before = self.rest.len();
        self.rest = self.rest.trim_start();
        self.rest.len() < before
    }

    fn wrong(&self) -> Error {
        Error::new(match self.rest {
            "" => format!("{:?} is no selector: it ends too early", self.text),
            rest => format!("{:?} is no selector, from {rest:?} on", self.text),
        })
    }
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '-' | '_') || !letter.is_ascii()
}
