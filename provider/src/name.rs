//! Names for what has none of its own.

use crate::call::CallContext;
use crate::read_values::digest;

/// How much of the instance id's digest a physical name ends with. Heat's random part has 12 letters.
const NAME_SUFFIX_CHARS: usize = 12;
/// A physical name is at most this long, as in Heat.
const NAME_MAX_CHARS: usize = 255;

/// The physical name, as Heat forms it, but with a last part that is always the same for an instance.
pub(crate) fn physical_name(ctx: &CallContext) -> String {
    let suffix = &digest(ctx.instance_id.as_bytes())[..NAME_SUFFIX_CHARS];
    let head = format!("{}-{}", ctx.stack, ctx.resource);
    let head: String = head
        .chars()
        .take(NAME_MAX_CHARS - 1 - NAME_SUFFIX_CHARS)
        .collect();
    format!("{head}-{suffix}")
}
