//! The bounds of everything a template can make us hold or do. Knows no template language.

/// Bounds that are checked while a text is read and while it is compiled. Passing one is an error,
/// never a truncation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Resources in one template. One stack of this size is what a member is measured with.
    pub resources: usize,
    /// Bytes of one source text. Also bounds what the tree of it can hold.
    pub text_bytes: usize,
    /// Bytes of one scalar, of one file, and of any string that a function makes.
    pub scalar_bytes: usize,
    /// Levels of lists and maps inside each other. Reading and folding recurse this deep.
    pub nesting: usize,
    /// Nodes that aliases may add to a text by standing for what their anchor marks.
    pub alias_nodes: usize,
    /// Bytes of scalars that aliases may add to a text.
    pub alias_bytes: usize,
    /// Bytes of one compiled definition: a definition travels to the replicas in one piece.
    pub definition_bytes: usize,
    /// Bytes of all compiled definitions of one template together.
    pub compiled_bytes: usize,
    /// Items of any list that a function makes (`repeat` multiplies its lists).
    pub list_items: usize,
    /// Problems that are listed; the rest are only counted.
    pub problems: usize,
}

const MIB: usize = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            resources: 1_000_000,
            text_bytes: 512 * MIB,
            scalar_bytes: 16 * MIB,
            nesting: 128,
            alias_nodes: 1_000_000,
            alias_bytes: 64 * MIB,
            definition_bytes: 32 * MIB,
            compiled_bytes: 1024 * MIB,
            list_items: 1_000_000,
            problems: 100,
        }
    }
}
