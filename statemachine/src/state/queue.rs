//! Staged changes: parts that have arrived and wait to be committed, or to be taken in. Knows nothing
//! of what they do.

use crate::id::Text;
use crate::row::{StageRow, StagedRow};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) row: StageRow,
    /// By position. Items that are taken in leave.
    pub(crate) items: BTreeMap<u32, Box<StagedRow>>,
    /// Positions by name.
    pub(crate) names: BTreeMap<Text, u32>,
}
