//! Work that is shared: the last that was added is done first, until none is left and nobody adds any.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct Pile<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    tasks: Vec<T>,
    /// Tasks that are not done, those in the pile included.
    left: usize,
}

impl<T> Pile<T> {
    pub(super) fn new(tasks: Vec<T>) -> Pile<T> {
        let left = tasks.len();
        Pile { state: Mutex::new(State { tasks, left }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, tasks: impl IntoIterator<Item = T>) {
        let mut state = self.lock();
        let before = state.tasks.len();
        state.tasks.extend(tasks);
        state.left += state.tasks.len() - before;
        self.changed.notify_all();
    }

    /// Take a task, waiting for one; `None` when all are done. Whoever takes one says when it is
    /// [`done`](Self::done).
    pub(super) fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.tasks.pop() {
                return Some(task);
            }
            if state.left == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn done(&self) {
        let mut state = self.lock();
        state.left -= 1;
        if state.left == 0 {
            self.changed.notify_all();
        }
    }
}
