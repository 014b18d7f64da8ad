//! The order in which a class and its ancestors are asked for an attribute.

use super::values::{Name, ScopeId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::rc::Rc;

/// Ancestors of one class that are looked at.
const ANCESTORS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Ancestor {
    Class(ScopeId),
    /// A class of a module that is not there.
    External(Name),
}

/// The order of one class.
#[derive(Debug)]
pub(super) struct Order {
    /// The class itself, then its ancestors: C3 where the bases agree, else depth first.
    pub(super) ancestors: Vec<Ancestor>,
    /// Whether a class is among its own ancestors, so that this order is of use to no other class.
    pub(super) is_circular: bool,
}

/// The order of a class. The bases are those of all ancestors whose order is not known yet; orders that are found on the
/// way are known from then on.
pub(super) fn linear(
    class: ScopeId,
    bases: &FxHashMap<ScopeId, Vec<Ancestor>>,
    known: &mut FxHashMap<ScopeId, Rc<Order>>,
) -> Rc<Order> {
    let mut done: FxHashMap<ScopeId, Vec<Ancestor>> = FxHashMap::default();
    let mut stack = vec![(class, false)];
    let mut open = FxHashSet::default();
    let mut is_circular = false;
    while let Some((class, is_expanded)) = stack.pop() {
        if done.contains_key(&class) || whole(known, class).is_some() {
            continue;
        }
        let own = bases.get(&class).map_or(&[][..], Vec::as_slice);
        if !is_expanded {
            // A class among its own ancestors is left out.
            if !open.insert(class) {
                is_circular = true;
                continue;
            }
            stack.push((class, true));
            for base in own {
                if let Ancestor::Class(base) = base {
                    match open.contains(base) {
                        true => is_circular = true,
                        false => stack.push((*base, false)),
                    }
                }
            }
            continue;
        }
        let of = |base: &Ancestor| match base {
            Ancestor::Class(base) => match whole(known, *base) {
                Some(order) => order.ancestors.clone(),
                None => done.get(base).cloned().unwrap_or_default(),
            },
            Ancestor::External(_) => vec![*base],
        };
        let mut lists: Vec<Vec<Ancestor>> = own.iter().map(of).collect();
        lists.push(own.to_vec());
        let mut order = vec![Ancestor::Class(class)];
        order.extend(merge(lists));
        order.truncate(ANCESTORS_MAX);
        done.insert(class, order);
        open.remove(&class);
    }
    let own = done.remove(&class);
    if !is_circular {
        for (class, ancestors) in done {
            let order = Order {
                ancestors,
                is_circular,
            };
            known.insert(class, Rc::new(order));
        }
    }
    let order = Rc::new(Order {
        ancestors: own.unwrap_or_else(|| vec![Ancestor::Class(class)]),
        is_circular,
    });
    known.insert(class, Rc::clone(&order));
    order
}

/// An order that is the same for all that are made from the class.
fn whole(known: &FxHashMap<ScopeId, Rc<Order>>, class: ScopeId) -> Option<&Order> {
    let order = known.get(&class)?;
    (!order.is_circular).then_some(order)
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
        let mut known = FxHashMap::default();
        let order = linear(3, &bases, &mut known);
        assert_eq!(order.ancestors, [3, 1, 2, 0].map(class));
        let order = linear(4, &bases, &mut known);
        assert_eq!(order.ancestors[0], class(4));
        assert!(order.ancestors.contains(&Ancestor::External(9)) && order.is_circular);
        // With what is known of its bases, a class has the order that it has by itself.
        let mut anew = FxHashMap::default();
        for class in [3, 0, 2, 1, 3] {
            anew.remove(&class);
            let order = linear(class, &bases, &mut anew);
            assert_eq!(order.ancestors, known[&class].ancestors);
        }
    }
}
