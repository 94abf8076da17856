//! Tasks of one worker, for libraries that start some.

use std::future::Future;

/// Runs what it is given as tasks of the worker that it is used on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalTasks;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalTasks {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            task.await;
        });
    }
}
