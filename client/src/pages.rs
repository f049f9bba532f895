//! Listings that come in pages, walked without the caller seeing a token.

use std::{future::Future, pin::Pin};

use crate::error::Error;

type Fetch<T> =
    dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<(Vec<T>, String), Error>> + Send>> + Send;

/// A listing. Each page is read when it is asked for; what changes in between may or may not be in it.
pub struct Pages<T> {
    fetch: Box<Fetch<T>>,
    /// The token of the next page; `None` once the last was given.
    next: Option<String>,
}

impl<T> Pages<T> {
    pub(crate) fn new<Answer>(fetch: impl Fn(String) -> Answer + Send + 'static) -> Self
    where
        Answer: Future<Output = Result<(Vec<T>, String), Error>> + Send + 'static,
    {
        Self {
            fetch: Box::new(move |token| Box::pin(fetch(token))),
            next: Some(String::new()),
        }
    }

    /// The next page, or `None` after the last.
    ///
    /// # Errors
    /// Those of the call; the same page can be asked for again.
    pub async fn next(&mut self) -> Result<Option<Vec<T>>, Error> {
        let Some(token) = self.next.clone() else {
            return Ok(None);
        };
        let (items, next) = (self.fetch)(token).await?;
        self.next = Some(next).filter(|token| !token.is_empty());
        Ok(Some(items))
    }

    /// Everything that is left, at once.
    ///
    /// # Errors
    /// Those of the first call that failed.
    pub async fn all(mut self) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }
}

impl<T> std::fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
