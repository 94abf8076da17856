//! A service whose answers are made on the heap.
//!
//! HTTP/2's library moves what makes an answer from hand to hand and at last into a task, some eight times in all;
//! HTTP/1.1's has a place for it and moves it once. What is moved should therefore be a pointer
//! (`benchmarks/notes.md`).

use std::pin::Pin;

use hyper::service::Service;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct OnTheHeap<S>(pub(super) S);

impl<R, S: Service<R>> Service<R> for OnTheHeap<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<S::Future>>;

    fn call(&self, request: R) -> Self::Future {
        Box::pin(self.0.call(request))
    }
}
