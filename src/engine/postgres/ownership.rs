//! Who owns which shards: a pure decision of each daemon for itself, from what all of them can see.
//!
//! Each daemon's fair share follows from the ids of those that live. One that has less takes shards that nobody owns, one
//! that has more gives some up; so there is no coordinator. What always holds: a shard that a living daemon owns is never
//! taken from it, and when all have decided and nobody joins or leaves, each has its share.

use crate::core::shards::{SHARDS, Shard, ShardSet};
use crate::engine::postgres::id::Id;

/// A daemon, as another one sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) node: Id,
    /// Whether its lease is valid.
    pub(super) alive: bool,
    /// Whether it is known to have ended.
    pub(super) ended: bool,
}

/// What a daemon sees.
#[derive(Debug, Clone)]
pub(super) struct Sight<'s> {
    pub(super) me: Id,
    pub(super) members: &'s [Member],
    /// The owner of each shard.
    pub(super) owners: &'s [Option<Id>],
    /// The shards that I am giving up.
    pub(super) leaving: ShardSet,
    /// Whether I have been connected for a lease: those whose leases are over could have renewed them as well.
    pub(super) settled: bool,
}

/// What a daemon does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// These have ended, or have lost what they owned.
    pub(super) dead: Vec<Id>,
    /// Takes these.
    pub(super) claim: ShardSet,
    /// Gives these up.
    pub(super) give_up: ShardSet,
}

impl Step {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What this daemon is among the others.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// The shards that it owns.
    pub(super) owned: ShardSet,
    /// Those of them that it is giving up, and no longer sends for.
    pub(super) leaving: ShardSet,
    /// Those that the dispatcher has nothing in flight of any more.
    pub(super) released: ShardSet,
    /// Whether there is no other daemon.
    pub(super) alone: bool,
    /// Whether others have joined or left, or shards have changed hands, since it was last looked at.
    pub(super) changed: bool,
}

impl Membership {
    /// Whether it does what is done once for all.
    pub(super) const fn leads(&self) -> bool {
        self.owned.contains(Shard::LEADING)
    }
}

/// The shards of an owner.
pub(super) fn owned_by(owners: &[Option<Id>], node: Id) -> ShardSet {
    let own = |(shard, owner): (Shard, &Option<Id>)| (*owner == Some(node)).then_some(shard);
    (0..=u8::MAX).map(Shard::new).zip(owners).filter_map(own).collect()
}

/// Decides what `sight.me` does.
pub(super) fn step(sight: &Sight<'_>) -> Step {
    let Sight { me, members, owners, leaving, settled } = sight;
    let is_dead = |member: &Member| member.node != *me && (member.ended || (!member.alive && *settled));
    let dead: Vec<Id> = members.iter().filter(|member| is_dead(member)).map(|member| member.node).collect();
    let mut living: Vec<Id> = members.iter().map(|member| member.node).filter(|node| !dead.contains(node)).collect();
    living.sort_unstable_by_key(|node| node.0);
    let Some(rank) = living.iter().position(|node| node == me) else { return Step::default() };
    let share = SHARDS / living.len() + usize::from(rank < SHARDS % living.len());
    let mine = owned_by(owners, *me).without(leaving);
    let is_free = |owner: &Option<Id>| owner.is_none_or(|owner| !living.contains(&owner));
    let free: ShardSet = (0..=u8::MAX)
        .map(Shard::new)
        .zip(owners.iter())
        .filter(|(_, owner)| is_free(owner))
        .map(|(shard, _)| shard)
        .collect();
    let claim = free.iter().take(share.saturating_sub(mine.len())).collect();
    // The leading shard stays where it is.
    let give_up = mine.iter().rev().take(mine.len().saturating_sub(share)).collect();
    Step { dead, claim, give_up }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(node: u128, alive: bool, ended: bool) -> Member {
        Member { node: Id(node), alive, ended }
    }

    fn sight<'s>(me: u128, members: &'s [Member], owners: &'s [Option<Id>]) -> Sight<'s> {
        Sight { me: Id(me), members, owners, leaving: ShardSet::NONE, settled: true }
    }

    #[test]
    fn one_alone_takes_all_and_one_that_joins_is_given_half() {
        let nobody = vec![None; SHARDS];
        let alone = [member(1, true, false)];
        let first = step(&sight(1, &alone, &nobody));
        assert_eq!((first.claim, first.give_up), (ShardSet::ALL, ShardSet::NONE));
        let owners = vec![Some(Id(1)); SHARDS];
        let both = [member(1, true, false), member(2, true, false)];
        let (first, second) = (step(&sight(1, &both, &owners)), step(&sight(2, &both, &owners)));
        assert_eq!((first.give_up.len(), second.claim), (128, ShardSet::NONE), "nothing is taken from one that lives");
        assert!(!first.give_up.contains(Shard::LEADING));
        let leaving = Sight { leaving: first.give_up, ..sight(1, &both, &owners) };
        assert!(step(&leaving).is_nothing(), "it is giving up enough already");
    }

    #[test]
    fn a_dead_one_loses_its_shards_and_a_silent_one_only_to_those_who_were_there_long_enough() {
        let owners = vec![Some(Id(2)); SHARDS];
        let silent = [member(1, true, false), member(2, false, false)];
        let new = Sight { settled: false, ..sight(1, &silent, &owners) };
        assert!(step(&new).is_nothing());
        let taken = step(&sight(1, &silent, &owners));
        assert_eq!((taken.dead, taken.claim), (vec![Id(2)], ShardSet::ALL));
        let ended = [member(1, true, false), member(2, true, true)];
        let new = Sight { settled: false, ..sight(1, &ended, &owners) };
        assert_eq!(step(&new).dead, [Id(2)]);
        assert_eq!(step(&sight(3, &ended, &owners)), Step::default(), "one that is no member does nothing");
    }

    proptest! {
        #[test]
        fn all_have_their_share_in_the_end_and_no_shard_has_two_owners(
            nodes in proptest::collection::btree_map(1u128..30, any::<(bool, bool)>(), 1..9),
            owners in proptest::collection::vec(proptest::option::of(1u128..30), SHARDS),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let mut members: Vec<Member> = nodes.iter().map(|(node, (alive, ended))| member(*node, *alive, *ended)).collect();
            members[0] = member(members[0].node.0, true, false);
            let mut owners: Vec<Option<Id>> = owners.into_iter().map(|owner| owner.map(Id)).collect();
            let lives = |member: &Member| member.alive && !member.ended;
            let mut turn = |members: &mut Vec<Member>, index: usize| {
                let me = members[index].clone();
                if !lives(&me) {
                    return Ok(());
                }
                let now = step(&sight(me.node.0, members, &owners));
                for (shard, owner) in owners.iter_mut().enumerate() {
                    let shard = Shard::new(shard as u8);
                    if now.claim.contains(shard) {
                        let living = owner.is_some_and(|owner| members.iter().any(|one| one.node == owner && lives(one)));
                        prop_assert!(!living, "taken from one that lives");
                        *owner = Some(me.node);
                    } else if now.give_up.contains(shard) {
                        prop_assert_eq!(*owner, Some(me.node));
                        *owner = None;
                    }
                }
                members.retain(|one| !now.dead.contains(&one.node));
                Ok(())
            };
            for index in order {
                let index = index.index(members.len());
                turn(&mut members, index)?;
            }
            for index in (0..members.len()).chain(0..members.len()).chain(0..members.len()) {
                if index < members.len() {
                    turn(&mut members, index)?;
                }
            }
            let sizes: Vec<usize> = members.iter().map(|member| owned_by(&owners, member.node).len()).collect();
            prop_assert_eq!(sizes.iter().sum::<usize>(), SHARDS);
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{:?}", sizes);
        }
    }
}
