//! The order in which a class and its ancestors are asked for an attribute.

use super::values::{Name, ScopeId};
use rustc_hash::FxHashMap;

/// Ancestors of one class that are looked at.
const ANCESTORS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Ancestor {
    Class(ScopeId),
    /// A class of a module that is not there.
    External(Name),
}

/// The class itself, then its ancestors: C3 where the bases agree, else depth first.
pub(super) fn linear(class: ScopeId, bases: &FxHashMap<ScopeId, Vec<Ancestor>>) -> Vec<Ancestor> {
    let mut done: FxHashMap<ScopeId, Vec<Ancestor>> = FxHashMap::default();
    let mut stack = vec![(class, false)];
    let mut open = vec![];
    while let Some((class, is_expanded)) = stack.pop() {
        if done.contains_key(&class) {
            continue;
        }
        let own = bases.get(&class).map_or(&[][..], Vec::as_slice);
        if !is_expanded {
            // A class among its own ancestors is left out.
            if open.contains(&class) {
                continue;
            }
            open.push(class);
            stack.push((class, true));
            for base in own {
                if let Ancestor::Class(base) = base
                    && !open.contains(base)
                {
                    stack.push((*base, false));
                }
            }
            continue;
        }
        let of = |base: &Ancestor| match base {
            Ancestor::Class(base) => done.get(base).cloned().unwrap_or_default(),
            Ancestor::External(_) => vec![*base],
        };
        let mut lists: Vec<Vec<Ancestor>> = own.iter().map(of).collect();
        lists.push(own.to_vec());
        let mut order = vec![Ancestor::Class(class)];
        order.extend(merge(lists));
        order.truncate(ANCESTORS_MAX);
        done.insert(class, order);
        open.retain(|it| *it != class);
    }
    done.remove(&class)
        .unwrap_or_else(|| vec![Ancestor::Class(class)])
}

fn merge(mut lists: Vec<Vec<Ancestor>>) -> Vec<Ancestor> {
    let mut order = Vec::new();
    loop {
        lists.retain(|list| !list.is_empty());
        let heads = lists.iter().map(|list| list[0]);
        let is_in_a_tail = |head: Ancestor| lists.iter().any(|list| list[1..].contains(&head));
        let next = heads
            .clone()
            .find(|head| !is_in_a_tail(*head))
            .or_else(|| heads.clone().next());
        let Some(next) = next else { return order };
        order.push(next);
        for list in &mut lists {
            list.retain(|it| *it != next);
        }
        if order.len() >= ANCESTORS_MAX {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_are_asked_in_the_order_of_c3_and_a_circle_ends() {
        let class = Ancestor::Class;
        // 0 is the root of a diamond: 3(1, 2), 1(0), 2(0). 4 and 5 are one another's base.
        let bases = FxHashMap::from_iter([
            (1, vec![class(0)]),
            (2, vec![class(0)]),
            (3, vec![class(1), class(2)]),
            (4, vec![class(5)]),
            (5, vec![class(4), Ancestor::External(9)]),
        ]);
        assert_eq!(linear(3, &bases), [3, 1, 2, 0].map(class));
        assert_eq!(linear(4, &bases)[0], class(4));
        assert!(linear(4, &bases).contains(&Ancestor::External(9)));
    }
}
