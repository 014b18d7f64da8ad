//! What functions do that the language and a few well-known modules bring.

use super::{Given, How, Place, Solver, Target};
use crate::flow::values::{Name, ObjectId, Owner, Site, Value, Values};
use crate::flow::{Binding, Container, ScopeKind};

impl Solver<'_> {
    pub(super) fn builtin(&mut self, name: Name, given: &Given) -> Values {
        let word = self.kept.names.get(name).to_owned();
        let first = given.positional.first().cloned().unwrap_or_default();
        match word.as_str() {
            "map" => {
                let results = self.apply_handed(given);
                self.gathered(given.site, Container::Generator, &results)
            }
            "filter" | "min" | "max" | "sorted" | "reversed" | "sum" | "any" | "all" => {
                self.apply_handed(given);
                let mut elements = Values::default();
                for values in &given.positional {
                    elements.join(&self.elements(values));
                }
                match word.as_str() {
                    "min" | "max" => {
                        elements.join(&first);
                        elements
                    }
                    "sum" | "any" | "all" => Values::default(),
                    _ => self.gathered(given.site, Container::List, &elements),
                }
            }
            "list" | "tuple" | "set" | "frozenset" => {
                let container = match word.as_str() {
                    "list" => Container::List,
                    "tuple" => Container::Tuple,
                    _ => Container::Set,
                };
                let elements = self.elements(&first);
                self.gathered(given.site, container, &elements)
            }
            "iter" => {
                let mut over = self.call_method(&first, "__iter__", given);
                let objects: Values = first
                    .iter()
                    .filter(|value| matches!(value, Value::Object(_)))
                    .collect();
                if !objects.is_empty() {
                    let elements = self.elements(&objects);
                    over.join(&self.gathered(given.site, Container::Generator, &elements));
                }
                over
            }
            "next" => {
                let mut found = self.call_method(&first, "__next__", &Given::default());
                let objects: Values = first
                    .iter()
                    .filter(|value| matches!(value, Value::Object(_)))
                    .collect();
                found.join(&self.elements(&objects));
                found
            }
            "enumerate" => {
                let elements = self.elements(&first);
                let pair = self.pair(given.site, &Values::one(Value::SomeNumber), &elements);
                self.gathered(given.site, Container::Generator, &pair)
            }
            "zip" => {
                let site = Site::Pair(given.site);
                let pair = self.kept.objects.at(site, Container::Tuple, None);
                for (at, values) in given.positional.iter().enumerate() {
                    let elements = self.elements(values);
                    self.set_field(pair, Value::Integer(at as i32), &elements);
                }
                let pair = Values::one(Value::Object(pair));
                self.gathered(given.site, Container::Generator, &pair)
            }
            "dict" => {
                let site = Site::Expression(given.site);
                let object = self.kept.objects.at(site, Container::Dictionary, None);
                self.merge(object, &first);
                for (name, values) in &given.keywords {
                    self.set_field(object, Value::Text(*name), values);
                }
                Values::one(Value::Object(object))
            }
            "super" => self.super_of(given),
            "getattr" => {
                let names = given.positional.get(1).cloned().unwrap_or_default();
                let mut found = given.positional.get(2).cloned().unwrap_or_default();
                for name in names.iter() {
                    if let Value::Text(name) = name {
                        found.join(&self.attribute(&first, name));
                    }
                }
                found
            }
            "setattr" => {
                let names = given.positional.get(1).cloned().unwrap_or_default();
                let values = given.positional.get(2).cloned().unwrap_or_default();
                for (object, name) in first.iter().flat_map(|object| {
                    let names = names.iter();
                    names.map(move |name| (object, name))
                }) {
                    if let (Value::Instance(_), Value::Text(name)) = (object, name) {
                        self.put(Place::Attribute(object, name), &values);
                    }
                }
                Values::default()
            }
            "type" => {
                let class = |value| match value {
                    Value::Instance(class) => Some(Value::Class(class)),
                    _ => None,
                };
                first.iter().filter_map(class).collect()
            }
            "str" | "repr" | "format" | "input" | "chr" => Values::one(Value::SomeText),
            "int" | "float" | "len" | "abs" | "round" | "ord" | "hash" | "id" => {
                Values::one(Value::SomeNumber)
            }
            _ => {
                self.apply_handed(given);
                Values::default()
            }
        }
    }

    pub(super) fn external(&mut self, name: Name, given: &Given) -> Values {
        let dotted = self.kept.names.get(name).to_owned();
        let first = given.positional.first().cloned().unwrap_or_default();
        match dotted.as_str() {
            "functools.partial"
            | "copy.copy"
            | "copy.deepcopy"
            | "functools.lru_cache"
            | "functools.cache" => first,
            "functools.wraps" => Values::one(Value::Identity),
            "functools.reduce" => self.apply_handed(given),
            "typing.cast" => given.positional.get(1).cloned().unwrap_or_default(),
            "collections.OrderedDict" | "collections.defaultdict" => {
                let site = Site::Expression(given.site);
                let object = self.kept.objects.at(site, Container::Dictionary, None);
                self.merge(object, &first);
                Values::one(Value::Object(object))
            }
            "collections.deque" => {
                let elements = self.elements(&first);
                self.gathered(given.site, Container::List, &elements)
            }
            _ => {
                for value in given.all().flat_map(Values::iter).collect::<Vec<_>>() {
                    if let Value::Function(function) | Value::Bound(function, _) = value {
                        self.edge(Target::Scope(function), given.line, How::Handed);
                    }
                }
                Values::default()
            }
        }
    }

    pub(super) fn object_method(&mut self, object: ObjectId, name: Name, given: &Given) -> Values {
        let word = self.kept.names.get(name).to_owned();
        let first = given.positional.first().cloned().unwrap_or_default();
        let second = given.positional.get(1).cloned().unwrap_or_default();
        match word.as_str() {
            "append" | "add" | "appendleft" => {
                self.set_field(object, Value::SomeNumber, &first);
                Values::default()
            }
            "insert" => {
                self.set_field(object, Value::SomeNumber, &second);
                Values::default()
            }
            "extend" => {
                let elements = self.elements(&first);
                self.set_field(object, Value::SomeNumber, &elements);
                Values::default()
            }
            "update" => {
                self.merge(object, &first);
                for (name, values) in &given.keywords {
                    self.set_field(object, Value::Text(*name), values);
                }
                Values::default()
            }
            "get" | "pop" | "__getitem__" | "setdefault" => {
                if word == "setdefault" {
                    self.set_fields(object, &first, &second);
                }
                let mut found = self.items(&Values::one(Value::Object(object)), &first);
                found.join(&second);
                found
            }
            "popleft" | "popitem" | "__next__" => self.all_fields(object),
            "values" | "__iter__" => {
                let values = self.all_fields(object);
                self.gathered(given.site, Container::Generator, &values)
            }
            "keys" => {
                let keys = self.get(Place::Keys(object));
                self.gathered(given.site, Container::Generator, &keys)
            }
            "items" => {
                let keys = self.get(Place::Keys(object));
                let values = self.all_fields(object);
                let pair = self.pair(given.site, &keys, &values);
                self.gathered(given.site, Container::Generator, &pair)
            }
            "send" => self.all_fields(object),
            "copy" => Values::one(Value::Object(object)),
            "sort" => {
                let elements = self.all_fields(object);
                let handed = Given {
                    positional: vec![elements],
                    ..Given::default()
                };
                for (_, values) in given.keywords.clone() {
                    for function in values.iter() {
                        self.call(function, &handed);
                    }
                }
                Values::default()
            }
            _ => Values::default(),
        }
    }

    /// Functions that are handed over are called with the elements of all else that is; gives what they give.
    fn apply_handed(&mut self, given: &Given) -> Values {
        let is_function = |value: &Value| {
            matches!(
                value,
                Value::Function(_) | Value::Bound(..) | Value::Class(_)
            )
        };
        let handed: Vec<Values> = given.all().cloned().collect();
        let functions: Values = handed
            .iter()
            .flat_map(Values::iter)
            .filter(is_function)
            .collect();
        if functions.is_empty() {
            return Values::default();
        }
        let mut positional = Vec::new();
        for values in &handed {
            if !values.iter().any(|value| is_function(&value)) {
                positional.push(self.elements(values));
            }
        }
        let to_each = Given {
            positional,
            line: given.line,
            ..Given::default()
        };
        let mut results = Values::default();
        for function in functions.iter() {
            results.join(&self.call(function, &to_each));
        }
        results
    }

    /// An object that holds these.
    fn gathered(&mut self, site: u32, container: Container, values: &Values) -> Values {
        let object = self
            .kept
            .objects
            .at(Site::Expression(site), container, None);
        self.set_field(object, Value::SomeNumber, values);
        Values::one(Value::Object(object))
    }

    fn pair(&mut self, site: u32, first: &Values, second: &Values) -> Values {
        let pair = self
            .kept
            .objects
            .at(Site::Pair(site), Container::Tuple, Some(2));
        self.set_field(pair, Value::Integer(0), first);
        self.set_field(pair, Value::Integer(1), second);
        Values::one(Value::Object(pair))
    }

    /// `super()` in a method, or `super(Class, self)` anywhere.
    fn super_of(&mut self, given: &Given) -> Values {
        let owner = |value| match value {
            Value::Instance(class) => Some(Owner::Instance(class)),
            Value::Class(class) => Some(Owner::Class(class)),
            _ => None,
        };
        if let [classes, owners, ..] = &given.positional[..] {
            let owners: Vec<Owner> = owners.iter().filter_map(owner).collect();
            let class = |value| match value {
                Value::Class(class) => Some(class),
                _ => None,
            };
            return classes
                .iter()
                .filter_map(class)
                .flat_map(|class| owners.iter().map(move |owner| Value::Super(class, *owner)))
                .collect();
        }
        let mut method = self.current;
        loop {
            let parent = self.parent(method);
            if self.scope(parent).kind == ScopeKind::Class {
                let scope = self.scope(method);
                let Some(receiver) = scope.parameters.first() else {
                    return Values::default();
                };
                if scope.binding == Binding::Static {
                    return Values::default();
                }
                let name = self.number(method, receiver.name);
                let owners = self.get(Place::Local(method, name));
                return owners
                    .iter()
                    .filter_map(owner)
                    .map(|owner| Value::Super(parent, owner))
                    .collect();
            }
            if self.scope(method).kind == ScopeKind::Module {
                return Values::default();
            }
            method = parent;
        }
    }
}
