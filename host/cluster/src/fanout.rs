//! A value that many follow, each over a `watch` channel of his own.
//!
//! Those who wait on one channel are woken in an order that tokio leaves to
//! chance; here it is the order in which they came. So a simulated run does the
//! same again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// A value, and who follows it.
#[derive(Debug, Default)]
pub struct Fanout<T>(Mutex<State<T>>);

#[derive(Debug, Default)]
struct State<T> {
    value: T,
    /// Of those who have gone, until the value changes next.
    followers: Vec<watch::Sender<T>>,
}

impl<T: Clone> Fanout<T> {
    /// With a first value.
    pub fn new(value: T) -> Self {
        Self(Mutex::new(State { value, followers: Vec::new() }))
    }

    /// The value as it is.
    pub fn get(&self) -> T {
        self.state().value.clone()
    }

    /// The value, now and whenever it is set.
    pub fn subscribe(&self) -> watch::Receiver<T> {
        let mut state = self.state();
        let (follower, receiver) = watch::channel(state.value.clone());
        state.followers.push(follower);
        receiver
    }

    /// Tells all who follow.
    pub fn set(&self, value: T) {
        self.modify(|old| *old = value);
    }

    /// Changes the value, and tells all who follow.
    pub fn modify(&self, change: impl FnOnce(&mut T)) {
        let State { value, followers } = &mut *self.state();
        change(value);
        followers.retain(|follower| follower.send(value.clone()).is_ok());
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // What may panic under the lock, a clone or a change, leaves a whole value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{sync::mpsc, task::JoinSet};

    use super::*;

    #[tokio::test]
    async fn those_who_wait_are_woken_in_the_order_in_which_they_came() {
        let (value, (woken, mut order)) = (Arc::new(Fanout::new(0)), mpsc::unbounded_channel());
        let mut tasks = JoinSet::new();
        // So many are all polled before this task goes on; by chance, they would
        // come in this order once in ages.
        for number in 0..30 {
            let (mut receiver, woken) = (value.subscribe(), woken.clone());
            tasks.spawn(async move {
                receiver.changed().await.unwrap();
                woken.send((number, *receiver.borrow())).unwrap();
            });
        }
        tokio::task::yield_now().await;
        value.set(7);
        tasks.join_all().await;
        for number in 0..30 {
            assert_eq!(order.recv().await, Some((number, 7)));
        }
    }

    #[test]
    fn who_has_gone_is_forgotten_with_the_next_change() {
        let value = Fanout::new(0);
        let (stays, goes) = (value.subscribe(), value.subscribe());
        drop(goes);
        value.modify(|value| *value += 1);
        assert_eq!((*stays.borrow(), value.get(), value.state().followers.len()), (1, 1, 1));
    }
}
