//! Work that is done side by side, its results in the order of what was to be done.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// How many at a time: one more than there are processors, for a guest waits a good part of its time.
pub fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from) + 1
}

/// What `work` makes of each of `items`.
pub fn run<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers() {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    let result = work(item);
                    done.lock().expect("no worker panics with the lock").push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no worker panicked with the lock");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_the_order_of_what_was_to_be_done() {
        let items: Vec<u32> = (0..100).collect();
        let doubled = super::run(&items, |item| item * 2);
        assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
    }
}
