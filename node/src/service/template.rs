//! The stored template as one text, put together from its head and fragments. Knows no template language.

use anneal_proto::v1;
use anneal_statemachine::id::StackId;
use anneal_template::{hide_defaults, render_template};
use bytes::Bytes;
use tonic::Status;

use super::status::{refused, storage};
use crate::{
    replica::Replica,
    submit::{Refused, Stored as _, read_fragment, stored_head},
};

/// Bytes of one chunk.
const CHUNK: usize = 256 * 1024;

/// The template of a stack, whole. Off the async threads: it may have 10^6 fragments.
pub(crate) async fn render(
    replica: &Replica,
    stack: StackId,
    show_secrets: bool,
) -> Result<String, Status> {
    let replica = replica.clone();
    let rendered = tokio::task::spawn_blocking(move || put_together(&replica, stack, show_secrets));
    let rendered = rendered.await.map_err(storage)?;
    rendered.map_err(refused)
}

fn put_together(replica: &Replica, stack: StackId, show_secrets: bool) -> Result<String, Refused> {
    let head = replica.read(|state| state.stack(stack)?.row.head);
    let head = match head {
        Some(digest) => stored_head(replica, digest)?.template,
        None => "{}".to_owned(),
    };
    let head = match show_secrets {
        true => head,
        false => hide_defaults(&head).map_err(Refused::storage)?,
    };
    let mut fragments = Vec::new();
    let mut after = None;
    loop {
        let page = replica.desired_after(stack, after.as_ref());
        for (name, desired) in page.desired {
            let fragment = read_fragment(&replica.blob(desired.fragment)?)?;
            fragments.push((name, fragment.text));
        }
        if page.last.is_none() {
            break;
        }
        after = page.last;
    }
    render_template(&head, fragments).map_err(Refused::storage)
}

/// A text in chunks.
pub(crate) fn chunks(text: String) -> impl Iterator<Item = Result<v1::TextChunk, Status>> + Send {
    let text = Bytes::from(text);
    let count = text.len().div_ceil(CHUNK);
    (0..count).map(move |n| {
        let end = ((n + 1) * CHUNK).min(text.len());
        let data = text.slice(n * CHUNK..end);
        Ok(v1::TextChunk { data })
    })
}
