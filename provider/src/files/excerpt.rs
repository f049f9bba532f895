//! Two texts as people should see them when they differ: the place where they do, and little else.

/// So much of a text is shown.
const SHOWN_CHARS: usize = 64;
/// So much of that comes before the first place where it differs.
const BEFORE_CHARS: usize = 16;
/// Bytes that continue a character of UTF-8, at most.
const CONTINUED_BYTES: usize = 3;

/// A part of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    /// Where it begins in the whole. Bytes.
    pub(super) from: usize,
    /// How long the whole is. Bytes.
    pub(super) length: usize,
}

impl<'a> Part<'a> {
    /// A text that is there as a whole.
    pub(super) fn whole(text: &'a str) -> Self {
        Self {
            text,
            from: 0,
            length: text.len(),
        }
    }

    /// Some bytes of a file, which may begin and end within a character; none if they are no text.
    pub(super) fn of_bytes(bytes: &'a [u8], from: usize, length: usize) -> Option<Self> {
        let continues = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
        let cut = bytes.iter().take(CONTINUED_BYTES).take_while(continues);
        let cut = if from > 0 { cut.count() } else { 0 };
        let bytes = &bytes[cut..];
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
            }
            Err(_) => return None,
        };
        let binary = |char: char| char.is_control() && !matches!(char, '\n' | '\r' | '\t');
        (!text.contains(binary)).then_some(Self {
            text,
            from: from + cut,
            length,
        })
    }

    /// The whole if it is short; else what is around the byte `differs_at` of it, its length, and that place.
    pub(super) fn excerpt(self, differs_at: usize) -> String {
        let Self { text, from, length } = self;
        let is_whole = text.len() == length;
        if is_whole && text.chars().count() <= SHOWN_CHARS {
            return text.to_owned();
        }
        let at = text.floor_char_boundary(differs_at.saturating_sub(from));
        let before = text[..at].char_indices().rev().take(BEFORE_CHARS).last();
        let begin = before.map_or(at, |(begin, _)| begin);
        let shown: String = text[begin..].chars().take(SHOWN_CHARS).collect();
        let left = if from + begin > 0 { "…" } else { "" };
        let right = if from + begin + shown.len() < length {
            "…"
        } else {
            ""
        };
        format!("{left}{shown}{right} ({length} bytes, differs from byte {differs_at} on)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_shown_whole_and_of_a_long_one_the_place_that_matters() {
        assert_eq!(Part::whole("short").excerpt(2), "short");
        let text = format!("{}X{}", "ä".repeat(1000), "b".repeat(1000));
        let expected = format!(
            "…{}X{}… (3001 bytes, differs from byte 2000 on)",
            "ä".repeat(16),
            "b".repeat(47)
        );
        assert_eq!(Part::whole(&text).excerpt(2000), expected);
        // The same from a part that begins and ends within a character.
        let part = Part::of_bytes(&text.as_bytes()[1001..], 1001, text.len()).unwrap();
        assert_eq!(part.excerpt(2000), expected);
        // Where the other one only goes on, the end is what matters.
        assert_eq!(
            Part::whole(&text).excerpt(text.len()),
            format!(
                "…{} (3001 bytes, differs from byte 3001 on)",
                "b".repeat(16)
            )
        );
    }

    #[test]
    fn what_is_no_text_is_not_shown() {
        assert!(Part::of_bytes(b"\x7fELF\x02\x01\x00", 0, 7).is_none());
        assert!(Part::of_bytes(b"caf\xe9 au lait", 0, 12).is_none());
        assert!(Part::of_bytes("é".as_bytes().get(..1).unwrap(), 0, 2).is_some());
    }
}
