//! Which key does what: the usual keys, changed by the configuration.

use std::collections::BTreeMap;

use crate::{
    action::{ACTIONS, Action},
    key::Key,
};

/// The action of each key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bindings {
    actions: BTreeMap<Key, Action>,
}

impl Default for Bindings {
    fn default() -> Self {
        let usual = ACTIONS
            .iter()
            .flat_map(|entry| entry.keys.iter().filter_map(|key| Some((key.parse().ok()?, entry.action))));
        Self { actions: usual.collect() }
    }
}

impl Bindings {
    /// What `key` does.
    #[must_use]
    pub fn action(&self, key: Key) -> Option<Action> {
        self.actions.get(&key).copied()
    }

    /// The keys of `action`, in a fixed order.
    #[must_use]
    pub fn keys(&self, action: Action) -> Vec<Key> {
        let own = self.actions.iter().filter(|(_, bound)| **bound == action);
        let mut keys: Vec<Key> = own.map(|(key, _)| *key).collect();
        let usual = |key: &Key| {
            let entry = ACTIONS.iter().find(|entry| entry.action == action);
            let place = entry.and_then(|entry| entry.keys.iter().position(|name| *name == key.to_string()));
            place.unwrap_or(usize::MAX)
        };
        keys.sort_by_key(usual);
        keys
    }

    /// Gives `action` these keys in place of its own. A key that did something else does this from now on.
    pub fn bind(&mut self, action: Action, keys: &[Key]) {
        self.actions.retain(|_, bound| *bound != action);
        self.actions.extend(keys.iter().map(|key| (*key, action)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_actions_share_a_usual_key() {
        let keys: usize = ACTIONS.iter().map(|entry| entry.keys.len()).sum();
        assert_eq!(Bindings::default().actions.len(), keys);
    }

    #[test]
    fn a_key_that_is_bound_again_does_one_thing() {
        let mut bindings = Bindings::default();
        let q = Key::character('q');
        bindings.bind(Action::Pause, &[q]);
        assert_eq!(bindings.action(q), Some(Action::Pause));
        assert_eq!(bindings.action(Key::character(' ')), None);
        assert_eq!(bindings.keys(Action::Quit), [Key::character('c').with_control()]);
    }
}
