//! What a variable may hold, and the variables themselves.

use super::Container;
use rustc_hash::{FxHashMap, FxHashSet};

/// A name of all files together, by its number in [`Names`].
pub(super) type Name = u32;
/// A scope of all files together.
pub(super) type ScopeId = u32;
/// An object that holds others, by its number in [`Objects`].
pub(super) type ObjectId = u32;

/// Values that a variable holds at most; what comes later is left out.
pub(super) const VALUES_MAX: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Value {
    Function(ScopeId),
    /// A method with what it is called on.
    Bound(ScopeId, Owner),
    Class(ScopeId),
    Instance(ScopeId),
    /// The module whose scope it is.
    Module(ScopeId),
    /// A folder without a module of its own.
    Package(Name),
    /// Something of a module that is not there.
    External(Name),
    Builtin(Name),
    Object(ObjectId),
    /// A method of an object that the language brings.
    ObjectMethod(ObjectId, Name),
    Text(Name),
    SomeText,
    TextMethod(Name),
    Integer(i32),
    SomeNumber,
    /// What comes after a class among the ancestors of what it is called on.
    Super(ScopeId, Owner),
    /// A function that gives back what it is given.
    Identity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Owner {
    Instance(ScopeId),
    Class(ScopeId),
}

impl Owner {
    pub(super) fn class(self) -> ScopeId {
        match self {
            Self::Instance(class) | Self::Class(class) => class,
        }
    }

    pub(super) fn value(self) -> Value {
        match self {
            Self::Instance(class) => Value::Instance(class),
            Self::Class(class) => Value::Class(class),
        }
    }
}

/// Values, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values(Vec<Value>);

impl Values {
    pub(super) fn one(value: Value) -> Self {
        Self(vec![value])
    }

    /// Whether it was not there and there was room.
    pub(super) fn add(&mut self, value: Value) -> bool {
        match self.0.binary_search(&value) {
            Err(at) if self.0.len() < VALUES_MAX => {
                self.0.insert(at, value);
                true
            }
            _ => false,
        }
    }

    pub(super) fn join(&mut self, other: &Self) -> bool {
        let mut grew = false;
        for value in &other.0 {
            grew |= self.add(*value);
        }
        grew
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value> {
        self.0.iter().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Value> for Values {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        let mut all = Self::default();
        for value in values {
            all.add(value);
        }
        all
    }
}

/// What a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Local(ScopeId, Name),
    /// What a function gives back, and what a generator gives one after the other.
    Result(ScopeId),
    /// A base of a class, by its position.
    Base(ScopeId, u32),
    /// An attribute of a class's instances, or of a function.
    Attribute(Value, Name),
    Field(ObjectId, Key),
    /// The keys that an object has.
    Keys(ObjectId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Text(Name),
    Integer(i32),
    /// Some key or other.
    Any,
}

impl Key {
    pub(super) fn of(value: Value) -> Self {
        match value {
            Value::Text(name) => Self::Text(name),
            Value::Integer(number) => Self::Integer(number),
            _ => Self::Any,
        }
    }
}

/// Names by their numbers.
#[derive(Default)]
pub(super) struct Names {
    names: Vec<Box<str>>,
    numbers: FxHashMap<Box<str>, Name>,
}

impl Names {
    pub(super) fn number(&mut self, name: &str) -> Name {
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        let number = self.names.len() as Name;
        self.names.push(name.into());
        self.numbers.insert(name.into(), number);
        number
    }

    pub(super) fn get(&self, name: Name) -> &str {
        &self.names[name as usize]
    }
}

/// Where an object comes from: there is one for each such place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Site {
    /// The expression that makes it.
    Expression(u32),
    /// A pair that is an element of what the expression makes.
    Pair(u32),
    /// What a function's `*rest` gathers.
    Rest(ScopeId),
    Keywords(ScopeId),
    Generator(ScopeId),
}

/// An object that holds others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    pub(super) container: Container,
    /// How many it was made with, where that is known.
    pub(super) length: Option<u32>,
}

#[derive(Default)]
pub(super) struct Objects {
    objects: Vec<Object>,
    sites: FxHashMap<Site, ObjectId>,
}

impl Objects {
    pub(super) fn at(&mut self, site: Site, container: Container, length: Option<u32>) -> ObjectId {
        let next = self.objects.len() as ObjectId;
        let id = *self.sites.entry(site).or_insert(next);
        if id == next {
            self.objects.push(Object { container, length });
        } else if self.objects[id as usize].length != length {
            self.objects[id as usize].length = None;
        }
        id
    }

    pub(super) fn get(&self, id: ObjectId) -> Object {
        self.objects[id as usize]
    }

    /// Forgets those that come from places that are gone.
    pub(super) fn forget(&mut self, is_gone: impl Fn(&Site) -> bool) -> FxHashSet<ObjectId> {
        let mut gone = FxHashSet::default();
        self.sites.retain(|site, id| {
            let stays = !is_gone(site);
            if !stays {
                gone.insert(*id);
            }
            stays
        });
        gone
    }
}
